"""The findings of a report: all of them, notes on missing data, and their JSON form."""

import json
from pathlib import Path

import pandas as pd
import pytest

from service.backtest.report.document import Report, make_report, to_dict
from service.backtest.report.reader import ReportError, read_files
from tests.support.backtest_factory import Maker, rows_of, simulate, write_backtest, write_frame

WALK = Maker("random_walk", lookback=1)
NETWORKS = ("lstm",)


def report(path: Path, champion: str | None = None) -> Report:
    return make_report(read_files([path]), (path.name,), champion, NETWORKS)


def test_a_complete_report(tmp_path: Path) -> None:
    makers = [
        WALK,
        Maker("random_walk", "one_step", lookback=1),
        *(Maker("lstm", refit=60, insight=0.1, seed=seed) for seed in (None, 0, 1)),
        Maker("lstm", "one_step", refit=60, insight=0.05),
        Maker("lstm", lookback=22, refit=60),
        Maker("drift", copy=1.0),
    ]
    findings = report(write_backtest(tmp_path / "a.parquet", simulate(4, 200), makers))
    assert [section.comparison.steps for section in findings.comparison_sets] == [(1, 2, 3), (1,)]
    assert (len(findings.symbols), str(findings.first), str(findings.last)) == (4, "2015-01-02", "2015-10-02")
    all_steps = findings.comparison_sets[0]
    assert [each.entry.lookback for each in all_steps.lookbacks] == [5, 22]
    assert len(findings.seeds) == 1
    assert [each.step for each in findings.disagreements] == [1, 1]  # random walk and lstm
    assert {each.age for each in all_steps.ages} == {"1", "2-5", "6-20", "21-60"}
    assert len(all_steps.rolling) == 3
    assert all_steps.notes == (all_steps.notes[0],)
    assert all_steps.notes[0].startswith("drift multi_step 5 copies the past: its median repeats the last return")
    assert any(note.startswith("The symbols are those of the price source") for note in findings.notes)
    assert any("sampling error: over 196 days" in note for note in findings.notes)


def test_the_document_is_json_without_nan(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", simulate(2, 90), [WALK, Maker("lstm", refit=30, insight=0.1)])
    document = json.loads(json.dumps(to_dict(report(path)), allow_nan=False))
    (comparison,) = document["comparison_sets"]
    assert comparison["comparison"] == {
        "steps": [1, 2, 3],
        "entries": ["lstm multi_step 5", "random_walk multi_step 1"],
        "reference": "random_walk multi_step 1",
        "rows": 516,
        "rows_of_any": 516,
        "missing": {"lstm multi_step 5": 0, "random_walk multi_step 1": 0},
        "days": 86,
        "symbols": 2,
    }
    first, second = comparison["leaderboard"]["lines"]
    assert first["entry"] == {"forecaster": "lstm", "strategy": "multi_step", "lookback": 5}
    assert first["rmse_ratio"]["overall"]["value"] == pytest.approx(0.9)
    assert second["copy"]["correlation"] is None
    assert comparison["rolling"][0]["last"][-1] == "2015-05-01"
    assert document["first"] == "2015-01-02"


def test_missing_data_is_noted(tmp_path: Path) -> None:
    frame = rows_of(simulate(1, 9), Maker("lstm"))  # 5 as_of sessions of one symbol
    bare = frame.drop(columns=[name for name in frame if name.startswith("raw_")])
    findings = report(write_frame(tmp_path / "a.parquet", bare))
    notes = " | ".join((*findings.notes, *findings.comparison_sets[0].notes))
    for note in (
        "no raw quantiles",
        "neither fold nor fitted_until",
        "no single seeds",
        "not enough days to estimate it",
        "there is no random_walk on these rows",
        "these rows cover 5 days; tests and intervals over 3 steps need 7",
        "these rows are of S00 only",
        "skill over time needs 60 as_of sessions, there are 5",
    ):
        assert note in notes
    assert findings.comparison_sets[0].leaderboard.lines[0].scores.raw_coverage is None


def test_constant_prices_are_left_out(tmp_path: Path) -> None:
    frame = rows_of(simulate(3, 30), WALK)
    frame.loc[frame["symbol"] == "S01", "actual"] = 0.0
    findings = report(write_frame(tmp_path / "a.parquet", frame))
    assert findings.symbols == ("S00", "S02")
    assert any(note.startswith("the price of S01 never changed") for note in findings.notes)


def test_a_file_with_only_constant_prices_is_refused(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "a.parquet", rows_of(simulate(1, 30), WALK).assign(actual=0.0))
    with pytest.raises(ReportError, match=r"no row of a\.parquet can be evaluated: the price of S00 never changed"):
        report(path)


def test_an_unknown_champion_is_refused(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", simulate(1, 30), [WALK, Maker("lstm")])
    with pytest.raises(ReportError, match="no forecaster named garch; the file has lstm, random_walk"):
        report(path, "garch")


def test_forecasters_without_common_rows_are_noted(tmp_path: Path) -> None:
    panel = simulate(2, 40)
    early, late = rows_of(panel, WALK), rows_of(panel, Maker("lstm"))
    both = pd.concat([early[early["as_of"] < panel.sessions[20]], late[late["as_of"] >= panel.sessions[20]]])
    findings = report(write_frame(tmp_path / "a.parquet", both))
    assert findings.comparison_sets == ()
    assert any("no row is common to lstm multi_step 5, random_walk multi_step 1" in note for note in findings.notes)
