"""`tplus models promote` and `rollback` in their own processes, over a database with two versions."""

from pathlib import Path

import pytest
from sqlalchemy import select

from models.baselines import RandomWalk, random_walk_config
from models.config import Strategy
from models.forecasting.artifact import Artifact, save_artifact
from models.training.train import TrainedArtifact
from service.db.session import Database
from service.db.tables import audit
from service.vocabulary import RANDOM_WALK
from tests.support.command import CommandLine
from tests.support.forecast_factory import record_version

STORE = "artifacts-tplus-sample-replay"
NORMAL = (-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96)


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """Version 1 served before version 2."""
    made = CommandLine(tmp_path, {"CLOCK": "replay:2012-12-20T23:00:00Z", "SYMBOLS": "AAPL,IBM"})
    first = made.run("models", "list")
    assert first.status == 0, first.error
    database = Database(f"sqlite:///{tmp_path / 'tplus-sample-replay.db'}")
    with database.transaction() as connection:
        for wide in (1.0, 1.1):
            walk = RandomWalk(random_walk_config(Strategy.ONE_STEP), (tuple(wide * q for q in NORMAL),), (0,), None)
            path, sha256 = save_artifact(Artifact(walk.config, walk.to_dict(), {}, {}), tmp_path / STORE)
            artifact = TrainedArtifact(walk.config, path, sha256, "d", None, None, None, None, {}, 0.0)
            record_version(connection, artifact, "champion" if wide == 1.0 else "challenger")
    database.close()
    return made


def test_promote_and_rollback_with_their_output(line: CommandLine) -> None:
    promoted = line.run("models", "promote", "2", "--reason", "wider is wiser")
    assert promoted.out == (
        f"version 2 ({RANDOM_WALK}) serves equity one_step from the next edition on, "
        f"instead of version 1 ({RANDOM_WALK})\n"
    ), promoted.error
    again = line.run("models", "promote", "2")
    assert again.out == f"version 2 ({RANDOM_WALK}) serves equity one_step already; nothing changed\n"
    back = line.run("models", "rollback", "equity", "one_step", "--json")
    assert back.document == {"group": "equity", "strategy": "one_step", "champion": 1, "before": 2}
    assert "promoted manually: wider is wiser" in line.run("models", "show", "2").out
    database = Database(f"sqlite:///{line.folder / 'tplus-sample-replay.db'}")
    with database.reading() as connection:
        details = list(connection.execute(select(audit.c.detail).where(audit.c.action == "models.promote")).scalars())
    database.close()
    assert [(one["version"], one["before"]) for one in details] == [(2, 1), (1, 2)]


def test_a_version_without_its_artifact_is_not_promoted(line: CommandLine) -> None:
    for folder in (line.folder / STORE).iterdir():
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.unlink()
    answer = line.run("models", "promote", "2")
    assert answer.status != 0
    assert answer.sentence.startswith("version 2 cannot serve: artifact file ")
    listed = line.run("models", "list", "--json").document["models"]
    assert {row["id"]: row["status"] for row in listed} == {1: "champion", 2: "challenger"}


def test_impossible_changes_are_reported(line: CommandLine) -> None:
    assert line.run("models", "promote", "9").sentence == "there is no model version 9; see `tplus models list`"
    assert line.run("models", "rollback", "crypto", "one_step").sentence.startswith(
        "nothing serves crypto one_step yet"
    )
