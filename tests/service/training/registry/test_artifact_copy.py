"""Copies of artifacts: every file, byte for byte; altered artifacts are refused."""

from pathlib import Path

import pytest

from models.config import Strategy
from service.errors import DatabaseError
from service.training.registry.artifact_copy import copy_models
from service.training.registry.versions import champion
from tests.support.forecast_factory import Desk


def copied(desk: Desk, target: Path) -> int:
    with desk.database.reading() as connection:
        return copy_models(connection, desk.context.settings.artifact_dir, target)


def test_every_file_is_copied_and_other_files_of_the_target_stay(desk: Desk, tmp_path: Path) -> None:
    desk.add_network(Strategy.MULTI_STEP, "champion")
    desk.add_walk(Strategy.ONE_STEP)  # a row without an artifact
    store, target = desk.context.settings.artifact_dir, tmp_path / "theirs"
    (store / ".writing-x").mkdir()
    (store / ".writing-x" / "weights.npz").write_bytes(b"half")
    target.mkdir()
    (target / "note").write_text("kept")
    assert copied(desk, target) == 3
    (artifact,) = [path for path in target.iterdir() if path.is_dir()]
    assert sorted(path.name for path in artifact.iterdir()) == ["manifest.json", "pipeline.json", "weights.npz"]
    for path in artifact.iterdir():
        assert path.read_bytes() == (store / artifact.name / path.name).read_bytes()
    assert (target / "note").read_text() == "kept"


def test_an_altered_artifact_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.add_network(Strategy.MULTI_STEP, "champion")
    with desk.database.reading() as connection:
        version = champion(connection, "equity", "multi_step")
    assert version is not None
    weights = version.folder(desk.context.settings.artifact_dir) / "weights.npz"
    body = bytearray(weights.read_bytes())
    body[-1] ^= 1
    weights.write_bytes(body)
    with pytest.raises(DatabaseError, match=r"weights\.npz was altered.*nothing was written"):
        copied(desk, tmp_path / "theirs")


def test_a_target_that_cannot_be_written_is_an_error(desk: Desk, tmp_path: Path) -> None:
    desk.add_network(Strategy.MULTI_STEP, "champion")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DatabaseError, match=r"could not be copied to .*theirs.*free space and copy again"):
        copied(desk, tmp_path / "file" / "theirs")


def test_without_a_folder_of_artifacts_nothing_is_copied(desk: Desk, tmp_path: Path) -> None:
    with desk.database.reading() as connection:
        assert copy_models(connection, tmp_path / "absent", tmp_path / "theirs") == 0
    assert not (tmp_path / "theirs").exists()
