"""The table that `make bench` prints."""

from importlib.util import find_spec

import pytest

from benchmarks.run import BENCHES, Bench, Figure, in_json, main, on_line, row


def bench(figure: Figure) -> Bench:
    return Bench("toy", "benchmarks.toy", (figure,))


@pytest.mark.parametrize(
    ("printed", "reached"),
    [
        ("speed 151000 bars/s 150000\n", "151,000 bars/s"),
        ("speed 149999 bars/s 150000\n", "**149,999 bars/s**"),
        ("other 1 s -\n", "**missing**: no line begins with speed"),
    ],
)
def test_a_line_has_the_goal_and_the_figure(printed: str, reached: str) -> None:
    figure = Figure("pull", on_line("speed"), 150_000.0, None, "bars/s")
    assert row(figure, printed, bench(figure)) == (
        f"| pull | at least 150,000 bars/s | {reached} | `python -m benchmarks.toy` |"
    )


def test_a_figure_is_read_from_a_json_document_after_other_text() -> None:
    figure = Figure("pinball", in_json("pinball"), 38.0, 39.0, "bp")
    line = row(figure, 'epoch 1\n{\n "pinball": 38.5,\n "each": {"a": 1}\n}\n', bench(figure))
    assert line == "| pinball | 38 to 39 bp | 38.5 bp | `python -m benchmarks.toy` |"


def test_the_figure_of_a_failed_benchmark_is_missing() -> None:
    figure = Figure("pinball", in_json("pinball"), None, 39.0, "bp")
    assert "**missing**" in row(figure, "", bench(figure))


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speling"]) == 2
    assert "unknown benchmark: speling; choose from accuracy, " in capsys.readouterr().err


def test_all_benchmarks_exist() -> None:

    assert [each.module for each in BENCHES if find_spec(each.module) is None] == []
