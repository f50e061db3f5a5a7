"""The one-off commands, on the sample and on real prices."""

import sqlite3
from pathlib import Path

import pytest

from tests.support.command import ROOT, CommandLine, kill_group, wait_for

PRICES = ROOT.parent / "shared" / "prices"
STEPS = {"one_step": 1, "multi_step": 3}


def on_files(folder: Path, start: str) -> CommandLine:
    return CommandLine(folder, {"SOURCE": f"files:{PRICES}", "CLOCK": f"replay:{start}", "SYMBOLS": "AAPL"})


def on_sample(folder: Path, start: str = "2012-12-20T23:00:00Z", **settings: str) -> CommandLine:
    return CommandLine(folder, {"CLOCK": f"replay:{start}", "SYMBOLS": "AAPL", **settings})


@pytest.mark.skipif(not PRICES.is_dir(), reason="the shared real prices are not next to this checkout")
@pytest.mark.parametrize(
    ("start", "as_of", "targets"),
    [
        ("2018-12-20T23:00:00Z", "2018-12-20", ["2018-12-21", "2018-12-24", "2018-12-26"]),
        ("2018-12-20T22:00:00Z", "2018-12-19", ["2018-12-20", "2018-12-21", "2018-12-24"]),
    ],
)
def test_forecast_on_real_prices_before_and_after_the_bar_is_final(
    tmp_path: Path, start: str, as_of: str, targets: list[str]
) -> None:
    answer = on_files(tmp_path, start).run("forecast", "--json")
    assert answer.status == 0, answer.error
    (entry,) = answer.document["forecasts"]
    assert (entry["symbol"], entry["as_of"], entry["target_sessions"]) == ("AAPL", as_of, targets)
    if as_of == "2018-12-20":
        assert entry["state"] == "issued"
        assert [step["target_session"] for step in entry["multi_step"]["steps"]] == targets
        assert entry["multi_step"]["served_by"]["forecaster"] == "random_walk"
    else:  # at 22:00Z the session after 12-19 had been open since 14:30Z
        assert (entry["state"], "issued_at" in entry) == ("missed", False)


def test_forecast_on_the_sample_over_christmas_and_again(tmp_path: Path) -> None:
    line = on_sample(tmp_path)
    first = line.run("forecast", "--json")
    assert first.status == 0, first.error
    (entry,) = first.document["forecasts"]
    assert (entry["as_of"], entry["state"]) == ("2012-12-20", "issued")
    assert entry["target_sessions"] == ["2012-12-21", "2012-12-24", "2012-12-26"]
    assert {name: len(entry[name]["steps"]) for name in STEPS} == STEPS
    again = line.run("forecast", "AAPL", "--json")
    assert (again.status, again.document) == (0, first.document)
    check = line.run("db", "check", "--json")
    assert (check.status, check.document) == (0, {"faults": []})


def test_run_due_does_everything_and_then_nothing(tmp_path: Path) -> None:
    line = on_sample(tmp_path, SYMBOLS="FB")  # 196 rows: too few for a network, so training is fast
    first = line.run("run-due", "--json")
    assert first.status == 0, first.error
    assert [(run["job"], run["session"], run["state"]) for run in first.document["runs"]] == [
        ("forecast", "2012-12-20", "done")
    ]
    with sqlite3.connect(tmp_path / "tplus-sample-replay.db") as database:
        query = "SELECT job, state FROM runs ORDER BY id"
        before = database.execute(query).fetchall()
        assert sorted(before) == [("forecast", "done"), ("pull", "done"), ("score", "done"), ("train", "done")]
        assert line.run("run-due").status == 0
        assert database.execute(query).fetchall() == before
    database.close()


def test_symbols_are_added_listed_and_removed(tmp_path: Path) -> None:
    line = on_sample(tmp_path)
    assert line.run("symbols", "add", "IBM,MSFT", "goog").status == 0
    assert line.run("symbols", "remove", "msft").status == 0
    listed = line.run("symbols", "list", "--json").document["symbols"]
    assert [item["symbol"] for item in listed if item["active"]] == ["AAPL", "GOOG", "IBM"]


def test_with_an_active_scheduler_a_command_requests_the_run_and_waits(tmp_path: Path) -> None:
    line = on_sample(tmp_path, "2012-12-20T23:00:00Z:600", POLL_SECONDS="0.1", SYMBOLS="FB")
    log = tmp_path / "schedule.log"
    scheduler = line.start("schedule", log=log)
    try:
        wait_for(lambda: _leads(tmp_path))
        answer = line.run("forecast", "--json")
        assert answer.status == 0, answer.error
        assert [(e["symbol"], e["state"]) for e in answer.document["forecasts"]] == [("FB", "issued")]
        database = sqlite3.connect(tmp_path / "tplus-sample-replay.db")
        assert database.execute("SELECT kind, state FROM run_requests").fetchall() == [("run", "done")]
        owners = database.execute("SELECT DISTINCT owner FROM runs WHERE state = 'done'").fetchall()
        assert len(owners) == 1
        database.close()
    finally:
        scheduler.terminate()
        try:
            assert scheduler.wait(20) == 0
        finally:
            kill_group(scheduler)


def _leads(folder: Path) -> bool:
    path = folder / "tplus-sample-replay.db"
    if not path.exists():
        return False
    database = sqlite3.connect(path, timeout=10)
    try:
        query = "SELECT count(*) FROM schedulers WHERE lease_until IS NOT NULL"
        return bool(database.execute(query).fetchone()[0] == 1)
    except sqlite3.OperationalError:  # the tables do not exist yet
        return False
    finally:
        database.close()
