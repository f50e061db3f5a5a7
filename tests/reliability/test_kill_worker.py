"""A chain of schedulers killed at two write points; the full form is `benchmarks.reliability.kill_worker`."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.reliability.kill_worker import Plan, kill_chain, misses
from benchmarks.reliability.killing.history import check_history, differences
from service.db.session import Database

NAME = "tplus-sample-replay"
POINTS = ("before publish commit", "weights staged")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """The data folder and the figures of a chain of two kills."""
    folder = tmp_path_factory.mktemp("chain")
    plan = Plan(False, 0, 1, POINTS, first=False, reserve=3)  # a start takes longer than a takeover
    return folder / "segment-1", kill_chain(plan, folder, None, None)


def test_nothing_is_lost_duplicated_or_half_written_and_no_process_stays(
    killed: tuple[Path, dict[str, object]],
) -> None:
    _, figures = killed
    assert misses(figures, judge_seconds=False) == []
    assert figures["kills_by_point"] == {point: 1 for point in POINTS}


DAMAGE = {
    "a step of a forecast": ("half-written", "DELETE FROM forecasts WHERE step = 3"),
    "a served forecast": ("half-written", "DELETE FROM served_forecasts"),
    "a run": ("lost", "DELETE FROM runs WHERE job = 'pull' AND id > 1"),
    "the end of a run": ("lost", "UPDATE runs SET state = 'running' WHERE id = 1"),
    "an outcome": ("half-written", "DELETE FROM run_outcomes"),
    "an edition": ("lost", "DELETE FROM editions WHERE number = 1"),
    "a score": ("lost", "DELETE FROM scores WHERE id = 1"),
    "a decision": ("half-written", "DELETE FROM model_decisions"),
    "a run of a session of its own": ("duplicated", "UPDATE runs SET session = (SELECT min(session) FROM runs)"),
}


def damaged(killed: Path, folder: Path, statement: str) -> Database:
    """Return a copy of the chain's database with some damage that its triggers would refuse."""
    for name in (f"{NAME}.db", f"{NAME}.db-wal"):
        if (killed / name).exists():
            shutil.copyfile(killed / name, folder / name)
    with closing(sqlite3.connect(folder / f"{NAME}.db")) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(statement).rowcount > 0
        connection.commit()
    return Database(f"sqlite:///{folder / NAME}.db")


@pytest.mark.parametrize("name", DAMAGE)
def test_the_check_of_the_history_finds_planted_damage(
    killed: tuple[Path, dict[str, object]], tmp_path: Path, name: str
) -> None:
    kind, statement = DAMAGE[name]
    database = damaged(killed[0], tmp_path, statement)
    assert check_history(database, killed[0] / f"artifacts-{NAME}")[kind] != []
    database.close()


def test_a_missing_and_a_cut_artifact_are_found(killed: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    database = Database(f"sqlite:///{killed[0] / NAME}.db")
    store = tmp_path / "store"
    assert check_history(database, store)["half-written"] != []
    shutil.copytree(killed[0] / f"artifacts-{NAME}", store)
    assert check_history(database, store)["half-written"] == []
    folder = store / f"lstm-one_step-{'0' * 16}"
    folder.mkdir()
    (folder / "pipeline.json").write_text("{}")
    assert "is not complete" in check_history(database, store)["half-written"][0]
    database.close()


def test_rows_that_differ_from_an_undisturbed_replay_are_found(
    killed: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    database = Database(f"sqlite:///{killed[0] / NAME}.db")
    assert differences(database, database) == {"lost": [], "duplicated": []}
    other = damaged(killed[0], tmp_path, "DELETE FROM bars WHERE session = '2007-12-31'")
    assert len(differences(other, database)["lost"]) == 1
    for each in (database, other):
        each.close()
