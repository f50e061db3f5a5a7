"""Copies the artifacts of a database and compares every copy by SHA-256."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, select

from models.errors import ArtifactError
from models.forecasting.artifact import UNFINISHED, load_artifact
from service.db.tables import model_versions
from service.errors import DatabaseError
from service.training.registry.versions import artifact_folder


def copy_models(connection: Connection, source: Path, target: Path) -> int:
    """Copy a folder of artifacts and return the number of files copied.

    Every file is compared by SHA-256, and each model version with its row. A version whose artifact is missing in the
    source is skipped.

    Args:
        connection: Any connection to the database that the artifacts belong to.
        source: Its folder of artifacts; may be missing.
        target: Target folder; files of the same name are replaced.

    Returns:
        Number of files copied.

    Raises:
        DatabaseError: a file cannot be written or differs, or an artifact was altered since it was trained.
    """
    if not source.is_dir():
        return 0
    rows = connection.execute(select(model_versions.c.artifact, model_versions.c.sha256)).all()
    try:
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"{UNFINISHED}*"))
        copied = list(_files(target, source))
        differing = [path for path in copied if _sha256(source / path) != _sha256(target / path)]
    except OSError as error:  # includes shutil.Error
        raise DatabaseError(
            f"the models could not be copied to {target}: {error}; nothing was written, free space and copy again"
        ) from error
    if differing:
        raise DatabaseError(f"{target / differing[0]} differs from {source / differing[0]}; check the disk, copy again")
    for name, sha256 in rows:
        _check(source, target, name, sha256)
    return len(copied)


def _check(source: Path, target: Path, name: str, sha256: str) -> None:
    try:
        if artifact_folder(source, name).is_dir():
            load_artifact(artifact_folder(target, name), sha256)
    except ArtifactError as error:
        raise DatabaseError(f"{error}; nothing was written") from error


def _files(target: Path, source: Path) -> Iterator[Path]:
    for path in sorted(target.rglob("*")):
        relative = path.relative_to(target)
        if path.is_file() and (source / relative).exists():
            yield relative


def _sha256(path: Path) -> str:
    with path.open("rb") as body:
        return hashlib.file_digest(body, "sha256").hexdigest()
