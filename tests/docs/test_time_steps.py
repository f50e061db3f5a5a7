"""The code blocks of docs/time-steps.md run, one after the other, and what they assert is so."""

import re

import pytest

from models.networks.registry import NETWORKS
from tests.support.paths import ROOT

DOCUMENT = ROOT / "docs" / "time-steps.md"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> list[str]:
    """Python blocks, with blank lines before them so that an error tells the line of the document."""
    return ["\n" * text.count("\n", 0, match.start(1)) + match[1] for match in _BLOCK.finditer(text)]


def run(text: str) -> dict[str, object]:
    """Run all blocks in one namespace; returns it."""
    names: dict[str, object] = {}
    for block in blocks(text):
        exec(compile(block, DOCUMENT.name, "exec"), names)
    return names


def test_every_block_runs_and_what_it_asserts_is_so() -> None:
    names = run(DOCUMENT.read_text())
    assert {"windows", "together", "forecast", "carried"} <= set(names)


@pytest.mark.parametrize(
    ("said", "false"),
    [("ends.tolist() == [5, 6]", "ends.tolist() == [5, 7]"), ("targets.shape == (2, 3)", "targets.shape == (3, 2)")],
)
def test_a_block_that_says_what_is_not_so_fails(said: str, false: str) -> None:
    text = DOCUMENT.read_text()
    assert text.count(said) == 1
    first_block_alone = text[: text.index("## Samples")].replace(said, false)
    with pytest.raises(AssertionError):
        run(first_block_alone)


@pytest.mark.parametrize(
    "word",
    [
        "sample",
        "time step",
        "feature",
        "batch",
        "unit",
        "unroll",
        "return_sequences",
        "stateful",
        "RepeatVector",
        "horizon",
    ],
)
def test_every_word_is_explained(word: str) -> None:
    headed = re.findall(r"^(?:## .*|\| [^|]+)", DOCUMENT.read_text(), re.MULTILINE)
    assert any(word in line for line in headed)


def test_the_table_of_ways_names_every_network() -> None:
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(name for cell in cells for name in re.findall(r"`(\w+)`", cell)) == list(NETWORKS)
