"""Writes and reads the archive: a plain tar whose first member is the manifest.

Nothing of an archive is used before it was compared with the manifest, and no name in it decides where a file goes.
"""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

from service.backup.manifest import MAX_BYTES, NAME, FileEntry, Manifest, parse
from service.errors import LedgerError

_CHUNK = 2**20


def file_entry(path: Path) -> FileEntry:
    """Return size and hash of a file."""
    with path.open("rb") as body:
        sha256 = hashlib.file_digest(body, "sha256").hexdigest()
    return FileEntry(size=path.stat().st_size, sha256=sha256)


def write_archive(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write an archive durably; only its owner may read it.

    Args:
        path: The archive; must not exist.
        manifest: What it contains.
        files: Name in the manifest -> the file.
    """
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as out, tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        body = (manifest.model_dump_json(indent=1) + "\n").encode()
        _add(archive, NAME, len(body), io.BytesIO(body), manifest)
        for name, entry in manifest.files.items():
            with files[name].open("rb") as source:
                _add(archive, name, entry.size, source, manifest)
        archive.close()
        out.flush()
        os.fsync(out.fileno())


def read_archive(path: Path, folder: Path, check: Callable[[Manifest], None]) -> Manifest:
    """Copy an archive's files into a folder, each compared with the manifest, and return the manifest.

    Args:
        path: The archive.
        folder: An empty folder; files get the names of the manifest.
        check: Called with the manifest before anything is copied.

    Raises:
        LedgerError: the archive cannot be read, or is not as its manifest says.
    """
    try:
        with path.open("rb") as body, tarfile.open(fileobj=body, mode="r:") as archive:
            return _read(archive, path, folder, check)
    except tarfile.TarError as error:
        raise LedgerError(f"{path} is not an archive of `tplus db backup` ({error}); name another file") from error
    except OSError as error:
        where = path if error.filename is None else error.filename
        raise LedgerError(f"{where}: {error.strerror or error}; check the file and the free space") from error


def _add(archive: tarfile.TarFile, name: str, size: int, body: IO[bytes], manifest: Manifest) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(manifest.created_at.timestamp())
    archive.addfile(member, body)


def _read(archive: tarfile.TarFile, path: Path, folder: Path, check: Callable[[Manifest], None]) -> Manifest:
    first = archive.next()
    if first is None or first.name != NAME or not first.isreg():
        raise LedgerError(f"{path} does not begin with {NAME}; name an archive of `tplus db backup`")
    if first.size > MAX_BYTES:
        raise LedgerError(f"{path}: its manifest has {first.size} bytes, more than {MAX_BYTES}")
    manifest = parse(_body(archive, first, path).read(), str(path))
    check(manifest)
    _check_space(manifest, path, folder)
    for name, entry in manifest.files.items():
        member = archive.next()
        if member is None or member.name != name or not member.isreg() or member.size != entry.size:
            found = "the end" if member is None else repr(member.name)[:200]
            raise LedgerError(f"{path}: {name} of {entry.size} bytes was expected, found {found}; it was altered")
        _copy(_body(archive, member, path), folder / name, entry, path)
    if archive.next() is not None:
        raise LedgerError(f"{path} has more files than its manifest names; it was altered")
    return manifest


def _body(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> IO[bytes]:
    body = archive.extractfile(member)
    if body is None:
        raise LedgerError(f"{path}: {member.name} is not a file; it was altered")
    return body


def _copy(source: IO[bytes], target: Path, entry: FileEntry, path: Path) -> None:
    # The name is one of the manifest's patterns: a dump, or artifacts/FOLDER/FILE.
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("xb") as out:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if found.hexdigest() != entry.sha256:
        raise LedgerError(
            f"{path}: {target.name} was altered: its hash is {found.hexdigest()[:16]}, the manifest has "
            f"{entry.sha256[:16]}; use another backup"
        )


def _check_space(manifest: Manifest, path: Path, folder: Path) -> None:
    wanted, free = sum(entry.size for entry in manifest.files.values()), shutil.disk_usage(folder).free
    if wanted > free:
        raise LedgerError(f"{path} needs {wanted} bytes in {folder}, {free} are free; free space or set TPLUS_DATA_DIR")
