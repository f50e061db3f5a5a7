"""Write the number of findings that each file may still have.

    .venv/bin/python -m tools.glossary_baseline

The numbers may only go down: `tests/architecture/test_glossary.py` fails on more findings, and on a baseline that is
higher than the findings.
"""

from collections.abc import Mapping

from tools.glossary import ROOT, Findings, all_findings

BASELINE = ROOT / "tests" / "architecture" / "glossary_baseline.txt"
_HEADER = "# file, findings in names, findings in prose; written by: python -m tools.glossary_baseline\n"


def parse(text: str) -> dict[str, tuple[int, int]]:
    """Return the allowed numbers of findings in names and prose by file."""
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return {file: (int(names), int(prose)) for file, names, prose in rows}


def written(found: Mapping[str, Findings]) -> str:
    """Return the text of the baseline for some findings."""
    return _HEADER + "".join(f"{file} {each.counts[0]} {each.counts[1]}\n" for file, each in sorted(found.items()))


def main() -> None:
    """Write the baseline."""
    BASELINE.write_text(written(all_findings()))


if __name__ == "__main__":
    main()
