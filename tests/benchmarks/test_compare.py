"""Comparison of two documents of ratios."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import compare


def _document(**ratios: tuple[float, str]) -> dict[str, object]:
    return {
        "benchmark": "api",
        "machine": {"processor": "one"},
        "ratios": {name: {"value": value, "better": better} for name, (value, better) in ratios.items()},
    }


def test_only_the_bad_direction_counts_and_a_tenth_is_drift() -> None:
    before = _document(hits=(0.8, "higher"), misses=(0.1, "higher"), growth=(1.0, "lower"), memory=(2.0, "lower"))
    after = _document(hits=(0.73, "higher"), misses=(0.2, "higher"), growth=(1.2, "lower"), memory=(1.0, "lower"))

    assert compare.worse(before, after, 0.10) == ["api: growth: 1 -> 1.2 (+20%)"]
    assert compare.worse(before, after, 0.05) == ["api: hits: 0.8 -> 0.73 (-9%)", "api: growth: 1 -> 1.2 (+20%)"]


def test_a_ratio_that_is_no_longer_measured_is_named() -> None:
    lines = compare.worse(_document(hits=(0.8, "higher")), _document(), 0.1)

    assert lines == ["api: hits: no longer measured (was 0.8)"]


def test_the_recorded_ratios_are_those_of_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compare, "RESULTS", tmp_path)
    path = tmp_path / "api.json"
    path.write_text(json.dumps(_document(hits=(0.8, "higher"))))
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "results"]):
        subprocess.run([*git, *command], check=True)

    assert compare.main([]) == 0
    assert "none of 1 ratios got worse by more than 10%" in capsys.readouterr().out
    path.write_text(json.dumps(_document(hits=(0.4, "higher"))))
    assert compare.main([]) == 1
    assert "api: hits: 0.8 -> 0.4 (-50%)" in capsys.readouterr().out
    assert compare.main(["--worse", "0.6"]) == 0
    path.rename(tmp_path / "other.json")
    assert compare.main([]) == 2
