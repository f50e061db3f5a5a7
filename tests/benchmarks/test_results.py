"""Tables and files of measured ratios."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.results import Ratio, document, publish, row


def test_the_median_is_judged_and_the_spread_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    met = Ratio("hit.1_worker", "cached answer / bare route", (0.79, 0.9, 0.85, 0.81, 0.83), low=0.8)
    missed = Ratio("memory", "bytes of ten / of one", (1.2, 1.4, 1.3, 1.3, 1.1), high=1.25)

    status = publish("api", [met, missed], {"seconds": 12.0}, tmp_path)

    assert status == 1
    printed = capsys.readouterr().out
    assert "| cached answer / bare route | at least 0.8 | 0.83 (0.79-0.9, 5) |  |" in printed
    assert "| bytes of ten / of one | at most 1.25 | 1.3 (1.1-1.4, 5) | **falls short** |" in printed
    written = json.loads((tmp_path / "api.json").read_text())
    assert written["ratios"]["hit.1_worker"]["value"] == 0.83
    assert written["ratios"]["hit.1_worker"]["better"] == "higher"
    assert written["ratios"]["memory"]["is_met"] is False
    assert written["figures"] == {"seconds": 12.0}


def test_a_table_whose_bounds_are_met_succeeds(tmp_path: Path) -> None:
    both = Ratio("both", "between", (1.0, 1.0, 1.0), low=0.9, high=1.1, better="lower")
    free = Ratio("free", "only shown", (3.0,))

    assert publish("b", [both, free], folder=tmp_path) == 0
    assert (both.direction, free.direction) == ("lower", "")
    assert row(free) == "| only shown | none | 3 (3-3, 1) |  |"


def test_what_was_measured_on_is_recorded_without_the_name_of_the_machine() -> None:
    written = document("b", [], {})

    assert {"processor", "cores", "memory_gib", "system", "python"} == set(written["machine"])  # type: ignore[call-overload]
    assert "numpy" in written["versions"]  # type: ignore[operator]
    host = subprocess.run(["uname", "-n"], capture_output=True, text=True).stdout.strip()
    assert host not in json.dumps(written)
