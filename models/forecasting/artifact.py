"""Saved forecasters: folders of weights, fitted pipeline and manifest, named by one hash.

`manifest.json` lists the SHA-256 of the other files, and the hash of the artifact is that of the manifest's bytes.
One hash, stored elsewhere, therefore protects every byte. Bytes are checked before anything parses them, weights are
arrays without pickle, and the network is built from code, never from the file.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.config import ModelConfig
from models.errors import ArtifactError
from models.forecasting.weight_archive import pack_weights, unpack_weights
from models.networks.lstm_numpy import Weights

FORMAT_VERSION = 1
"""Number of the format that this version writes and reads."""

MANIFEST = "manifest.json"
PIPELINE = "pipeline.json"
WEIGHTS = "weights.npz"

UNFINISHED = ".writing-"
"""Beginning of the name of a folder that is being written."""

_FOLDER = re.compile(r"[a-z0-9_]{1,60}-[a-z_]{1,30}-[0-9a-f]{16}")
"""Names that `save_artifact` gives to folders."""

_ALLOWED = frozenset({PIPELINE, WEIGHTS})
"""File names that a manifest may list: a path in a manifest is never followed."""

_LARGEST = {MANIFEST: 16 << 20, PIPELINE: 64 << 20, WEIGHTS: 1 << 30}
"""Largest size of each file in bytes: far above any artifact, and checked before the file is read."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The contents of an artifact.

    Attributes:
        config: How the forecaster was made.
        pipeline: JSON-serializable state of the fitted pipeline, or of a baseline.
        weights: Arrays by name for each seed; empty for a baseline.
        facts: JSON-serializable facts of the training: spans, metrics, data hash, library versions.
    """

    config: ModelConfig
    pipeline: Mapping[str, Any]
    weights: Mapping[int, Weights]
    facts: Mapping[str, Any]


def save_artifact(artifact: Artifact, directory: Path) -> tuple[Path, str]:
    """Write an artifact to its own folder, atomically.

    Equal artifacts have equal bytes, so writing one twice gives one folder.

    Args:
        artifact: The artifact to write.
        directory: The folder that holds artifacts; created if absent.

    Returns:
        The artifact's folder, named after strategy and hash, and its SHA-256.
    """
    files = {PIPELINE: _json_bytes(artifact.pipeline)}
    if artifact.weights:
        files[WEIGHTS] = pack_weights(artifact.weights)
    manifest = {
        "format": FORMAT_VERSION,
        "config": artifact.config.to_dict(),
        "facts": artifact.facts,
        "files": {name: _sha256(body) for name, body in sorted(files.items())},
    }
    files[MANIFEST] = _json_bytes(manifest)
    sha256 = _sha256(files[MANIFEST])
    config = artifact.config
    folder = directory / f"{config.forecaster}-{config.strategy.value}-{sha256[:16]}"
    _write_folder(folder, files, sha256)
    return folder, sha256


@dataclass(frozen=True, slots=True)
class PackedArtifact:
    """The files of an artifact as bytes, to be carried to another machine.

    Attributes:
        name: Name of its folder.
        sha256: Its hash.
        files: Bytes by file name, the manifest included.
    """

    name: str
    sha256: str
    files: Mapping[str, bytes]


def pack_artifact(path: Path, sha256: str) -> PackedArtifact:
    """Read the files of an artifact and check them against its hash.

    Raises:
        ArtifactError: The artifact is absent, or a byte was changed.
    """
    body = _read(path, MANIFEST, sha256)
    files = {name: _read(path, name, expected) for name, expected in _manifest(path, body)["files"].items()}
    return PackedArtifact(path.name, sha256, {MANIFEST: body, **files})


def unpack_artifact(packed: PackedArtifact, directory: Path) -> Path:
    """Check the bytes of an artifact and write it to its own folder, atomically; return the folder.

    Args:
        packed: The artifact; nothing of it is trusted before its hash is checked.
        directory: The folder that holds artifacts; created if absent.

    Raises:
        ArtifactError: A byte was changed, or a name is not one that `save_artifact` gives.
    """
    folder = directory / packed.name
    manifest = packed.files.get(MANIFEST, b"")
    if _sha256(manifest) != packed.sha256 or not _FOLDER.fullmatch(packed.name):
        raise ArtifactError(f"the artifact {packed.name[:80]!r} was altered on its way; train it again")
    expected = _manifest(folder, manifest)["files"]
    actual = {name: _sha256(body) for name, body in packed.files.items() if name != MANIFEST}
    if actual != expected:
        raise ArtifactError(f"a file of the artifact {packed.name} was altered on its way; train it again")
    _write_folder(folder, packed.files, packed.sha256)
    return folder


def _write_folder(folder: Path, files: Mapping[str, bytes], sha256: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder.parent))
    try:
        for name, body in files.items():
            _write_durably(staged / name, body)
        staged.chmod(0o755)
        _put_in_place(staged, folder, sha256)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def load_artifact(path: Path, sha256: str) -> Artifact:
    """Read an artifact and check it against a hash.

    Args:
        path: The artifact's folder.
        sha256: The hash that `save_artifact` returned, in hexadecimal.

    Raises:
        ArtifactError: The artifact is absent, a byte was changed, or it has another format.
    """
    manifest = _manifest(path, _read(path, MANIFEST, sha256))
    files = {name: _read(path, name, expected) for name, expected in manifest["files"].items()}
    try:
        config = ModelConfig.from_dict(manifest["config"])
        weights = unpack_weights(files[WEIGHTS]) if WEIGHTS in files else {}
        return Artifact(config, dict(json.loads(files[PIPELINE])), weights, dict(manifest["facts"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"artifact {path} has the expected hash but cannot be read ({error}); train it again"
        ) from error


def _manifest(path: Path, body: bytes) -> dict[str, Any]:
    """Parse a manifest whose hash was checked, and check its format and file names."""
    try:
        manifest = json.loads(body)
        version, names = manifest["format"], set(dict(manifest["files"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path / MANIFEST} is not a valid manifest ({error}); train the artifact again") from error
    if version != FORMAT_VERSION:
        raise ArtifactError(
            f"artifact {path} has format {version}, this version reads {FORMAT_VERSION}; train it again"
        )
    if not names <= _ALLOWED or PIPELINE not in names:
        raise ArtifactError(
            f"artifact {path} lists the files {sorted(names)}; allowed are {sorted(_ALLOWED)}, and {PIPELINE} is "
            "required; do not use it"
        )
    parsed: dict[str, Any] = manifest
    return parsed


def _read(path: Path, name: str, sha256: str) -> bytes:
    try:
        body = _read_regular(path, name)
    except OSError as error:
        raise ArtifactError(
            f"artifact file {path / name} cannot be read ({error.strerror}); train again or restore the data folder"
        ) from error
    actual = _sha256(body)
    if actual != sha256:
        raise ArtifactError(
            f"artifact file {path / name} was altered: its hash is {actual[:16]}, expected {str(sha256)[:16]}; "
            "restore it or train again"
        )
    return body


def _read_regular(path: Path, name: str) -> bytes:
    """Return the bytes of a regular file of a limited size; a link is not followed and a pipe is not waited for."""
    if (path / name).is_symlink():
        raise ArtifactError(f"artifact file {path / name} is a link; put the file itself there, or train again")
    descriptor = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError(f"artifact file {path / name} is not a regular file; restore it or train again")
        if status.st_size > _LARGEST[name]:
            raise ArtifactError(
                f"artifact file {path / name} has {status.st_size} bytes, at most {_LARGEST[name]} are read; "
                "restore it or train again"
            )
        return file.read()


def _put_in_place(staged: Path, folder: Path, sha256: str) -> None:
    """Rename the staged folder; an equal complete artifact that exists is kept."""
    try:
        staged.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        try:
            load_artifact(folder, sha256)
        except ArtifactError:
            shutil.rmtree(folder)
            staged.rename(folder)


def _write_durably(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode()


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
