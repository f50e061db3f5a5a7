"""The findings, whole: notes on what is not there, and a document that JSON can hold."""

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


def test_a_whole_report(tmp_path: Path) -> None:
    makers = [
        WALK,
        Maker("random_walk", "one_step", lookback=1),
        *(Maker("lstm", refit=60, insight=0.1, seed=seed) for seed in (None, 0, 1)),
        Maker("lstm", "one_step", refit=60, insight=0.05),
        Maker("lstm", lookback=22, refit=60),
        Maker("drift", copy=1.0),
    ]
    told = report(write_backtest(tmp_path / "a.parquet", simulate(4, 200), makers))
    assert [findings.comparison.steps for findings in told.comparison_sets] == [(1, 2, 3), (1,)]
    assert (len(told.symbols), str(told.first), str(told.last)) == (4, "2015-01-02", "2015-10-02")
    three = told.comparison_sets[0]
    assert [each.entry.lookback for each in three.lookbacks] == [5, 22]
    assert len(told.seeds) == 1
    assert [each.step for each in told.disagreements] == [1, 1]  # random walk and lstm
    assert {each.age for each in three.ages} == {"1", "2-5", "6-20", "21-60"}
    assert len(three.rolling) == 3
    assert three.notes == (three.notes[0],)
    assert three.notes[0].startswith("drift multi_step 5 copies the past: the median is the last return again")
    assert any(note.startswith("The symbols are those that the prices hold") for note in told.notes)
    assert any("sampling error of its own: over 196 days" in note for note in told.notes)


def test_the_document_is_json_without_nan(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", simulate(2, 90), [WALK, Maker("lstm", refit=30, insight=0.1)])
    document = json.loads(json.dumps(to_dict(report(path)), allow_nan=False))
    (comparison,) = document["comparison_sets"]
    assert comparison["board"] == {
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


def test_what_is_absent_is_said(tmp_path: Path) -> None:
    frame = rows_of(simulate(1, 9), Maker("lstm"))  # 5 as_of sessions of one symbol
    bare = frame.drop(columns=[name for name in frame if name.startswith("raw_")])
    told = report(write_frame(tmp_path / "a.parquet", bare))
    joined = " | ".join((*told.notes, *told.comparison_sets[0].notes))
    for said in (
        "no raw quantiles",
        "neither fold nor fitted_until",
        "no single seeds",
        "too few days to tell it",
        "there is no random_walk on these rows",
        "these rows cover 5 days; tests and intervals over 3 steps need 7",
        "these rows are of S00 alone",
        "skill over time needs 60 as_of sessions, there are 5",
    ):
        assert said in joined
    assert told.comparison_sets[0].leaderboard.lines[0].scores.raw_coverage is None


def test_constant_prices_leave_the_rest_in_place(tmp_path: Path) -> None:
    frame = rows_of(simulate(3, 30), WALK)
    frame.loc[frame["symbol"] == "S01", "actual"] = 0.0
    told = report(write_frame(tmp_path / "a.parquet", frame))
    assert told.symbols == ("S00", "S02")
    assert any(note.startswith("the price of S01 never moved") for note in told.notes)


def test_a_file_of_constant_prices_alone_is_refused(tmp_path: Path) -> None:
    path = write_frame(tmp_path / "a.parquet", rows_of(simulate(1, 30), WALK).assign(actual=0.0))
    with pytest.raises(ReportError, match=r"no row of a\.parquet can be judged: the price of S00 never moved"):
        report(path)


def test_an_unknown_champion_is_refused(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", simulate(1, 30), [WALK, Maker("lstm")])
    with pytest.raises(ReportError, match="no forecaster named garch; the file holds lstm, random_walk"):
        report(path, "garch")


def test_forecasters_of_other_days_are_told(tmp_path: Path) -> None:
    panel = simulate(2, 40)
    early, late = rows_of(panel, WALK), rows_of(panel, Maker("lstm"))
    both = pd.concat([early[early["as_of"] < panel.sessions[20]], late[late["as_of"] >= panel.sessions[20]]])
    told = report(write_frame(tmp_path / "a.parquet", both))
    assert told.comparison_sets == ()
    assert any("no row is common to lstm multi_step 5, random_walk multi_step 1" in note for note in told.notes)
