"""Folders that a killed worker left are removed once nobody can be writing them."""

import os
from datetime import UTC, datetime
from pathlib import Path

from service.training.unfinished import remove_unfinished

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def folder(store: Path, name: str, minutes_old: int) -> Path:
    made = store / name
    made.mkdir(parents=True)
    (made / "weights.npz").write_bytes(b"half")
    written = NOON.timestamp() - 60 * minutes_old
    os.utime(made, (written, written))
    return made


def test_only_old_unfinished_folders_are_removed(tmp_path: Path) -> None:
    old = folder(tmp_path, ".writing-old", 61)
    new = folder(tmp_path, ".writing-new", 59)
    whole = folder(tmp_path, "lstm-one_step-0123", 600)
    assert remove_unfinished(tmp_path, NOON) == 1
    assert not old.exists()
    assert new.exists()
    assert whole.exists()


def test_a_store_that_is_not_there_has_nothing_to_remove(tmp_path: Path) -> None:
    assert remove_unfinished(tmp_path / "none", NOON) == 0
