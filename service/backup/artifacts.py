"""The model artifacts of a backup: those that a row names, each checked against its hash."""

import os
import re
import shutil
from pathlib import Path

from sqlalchemy import Connection, select

from models.errors import ArtifactError
from models.forecasting.artifact import load_artifact
from service.backup.archive import file_entry
from service.backup.manifest import FILE_PATTERN, FileEntry, Manifest
from service.db.tables import model_versions

_FILE = re.compile(FILE_PATTERN)


def find_artifacts(connection: Connection, store: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the artifact files that the rows name, and a sentence for each artifact that is left out.

    Args:
        connection: The snapshot that is backed up: a model is written before the row that names it.
        store: Folder of the artifacts.

    Returns:
        Name in the archive -> file; and the sentences.
    """
    files: dict[str, Path] = {}
    left_out: list[str] = []
    query = select(model_versions.c.artifact, model_versions.c.sha256).distinct().order_by(model_versions.c.artifact)
    for folder, sha256 in connection.execute(query):
        try:
            load_artifact(store / folder, sha256)
        except ArtifactError as error:
            left_out.append(f"{folder}: {error}")
            continue
        found = {f"artifacts/{folder}/{path.name}": path for path in sorted((store / folder).iterdir())}
        files |= {name: path for name, path in found.items() if path.is_file() and _FILE.match(name)}
    return files, left_out


def entries(files: dict[str, Path]) -> dict[str, FileEntry]:
    """Return size and hash of each file."""
    return {name: file_entry(path) for name, path in files.items()}


def put_artifacts(manifest: Manifest, staged: Path, store: Path) -> int:
    """Move the artifacts of a read archive into the store; returns how many folders were written.

    An artifact that is there already with the same files is kept; other artifacts are not touched.
    """
    store.mkdir(parents=True, exist_ok=True)
    written = 0
    for folder in sorted({name.split("/")[1] for name in manifest.artifacts}):
        source, target = staged / "artifacts" / folder, store / folder
        if _is_equal(manifest, target, folder):
            continue
        # Renamed as a whole: a process that reads the artifact sees the old folder or the new one.
        incoming = store / f".writing-restore-{os.getpid()}-{folder}"
        shutil.rmtree(incoming, ignore_errors=True)
        shutil.copytree(source, incoming)
        shutil.rmtree(target, ignore_errors=True)
        incoming.rename(target)
        written += 1
    return written


def _is_equal(manifest: Manifest, target: Path, folder: str) -> bool:
    wanted = {name: entry for name, entry in manifest.artifacts.items() if name.split("/")[1] == folder}
    paths = {f"artifacts/{folder}/{path.name}": path for path in target.glob("*")}
    return paths.keys() == wanted.keys() and all(file_entry(path) == wanted[name] for name, path in paths.items())
