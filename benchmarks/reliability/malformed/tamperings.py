"""The ways to tamper with the artifact of a model version."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import update

from service.db.tables import model_versions
from tests.support.forecast_factory import Desk

FILES = ("manifest.json", "pipeline.json", "weights.npz")


@dataclass(frozen=True)
class Version:
    """The row of a version, and its artifact's folder."""

    id: int
    folder: Path
    sha256: str


@dataclass(frozen=True)
class Tampering:
    """A way to tamper with a version.

    Attributes:
        name: Its name.
        do: Changes files and row; the trial restores both afterwards.
        parsed: Whether the expected hash fits, so that the manifest is read before the refusal.
    """

    name: str
    do: Callable[[Desk, Version], None]
    parsed: bool = False


def _rewrite(name: str, change: Callable[[bytes], bytes]) -> Callable[[Desk, Version], None]:
    def do(_desk: Desk, version: Version) -> None:
        path = version.folder / name
        path.write_bytes(change(path.read_bytes()))

    return do


def _forge(name: str, body: bytes) -> Callable[[Desk, Version], None]:
    """Replace a file, and write the hashes that fit into manifest and row."""

    def do(desk: Desk, version: Version) -> None:
        (version.folder / name).write_bytes(body)
        manifest = json.loads((version.folder / FILES[0]).read_bytes())
        manifest["files"][name] = hashlib.sha256(body).hexdigest()
        _set_manifest(desk, version, json.dumps(manifest).encode())

    return do


def _forge_manifest(values: dict[str, Any]) -> Callable[[Desk, Version], None]:
    def do(desk: Desk, version: Version) -> None:
        manifest = json.loads((version.folder / FILES[0]).read_bytes())
        _set_manifest(desk, version, json.dumps({**manifest, **values}).encode())

    return do


def _set_manifest(desk: Desk, version: Version, body: bytes) -> None:
    (version.folder / FILES[0]).write_bytes(body)
    set_row(desk, version, {"sha256": hashlib.sha256(body).hexdigest()})


def set_row(desk: Desk, version: Version, values: dict[str, Any]) -> None:
    """Change the row of a version."""
    with desk.database.transaction() as connection:
        connection.execute(update(model_versions).where(model_versions.c.id == version.id).values(values))


def _name(name: str) -> Callable[[Desk, Version], None]:
    return lambda desk, version: set_row(desk, version, {"artifact": name})


def _in_place(name: str, make: Callable[[Path, Path], None]) -> Callable[[Desk, Version], None]:
    """Replace a file by something else; `make` gets the place, and the file moved elsewhere."""

    def do(_desk: Desk, version: Version) -> None:
        path, moved = version.folder / name, version.folder.parent / "moved"
        path.rename(moved)
        make(path, moved)

    return do


def _swap(desk: Desk, version: Version) -> None:
    """Replace the files of a version by those of another artifact."""
    store = desk.context.settings.artifact_dir
    other = next(each for each in sorted(store.glob("lstm-*")) if each != version.folder)
    for name in FILES[1:]:
        shutil.copyfile(other / name, version.folder / name)


def _hole(path: Path, _moved: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, body in members.items():
            file.writestr(name, body)
    return buffer.getvalue()


def _array(shape: str, descr: str = "<f4", body: bytes = b"") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body


def _pickled() -> bytes:
    buffer = BytesIO()
    arrays: dict[str, Any] = {"seed0.kernel": np.array([{"a": 1}], dtype=object)}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def tamperings(sizes: dict[str, int], every: int) -> Iterator[Tampering]:
    """Yield every tampering.

    Args:
        sizes: Bytes of each file.
        every: Each how many-th byte is flipped.
    """
    for name in FILES:
        for place in range(0, sizes[name], every):
            yield Tampering(
                f"flipped byte of {name}",
                _rewrite(name, lambda body, at=place: body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]),  # type: ignore[misc]
            )
        yield Tampering(f"cut {name}", _rewrite(name, lambda body: body[: len(body) // 2]))
        yield Tampering(f"empty {name}", _rewrite(name, lambda _body: b""))
        yield Tampering(f"{name} with a byte more", _rewrite(name, lambda body: body + b"\0"))
        yield Tampering(f"missing {name}", _in_place(name, lambda _path, _moved: None))
        yield Tampering(f"link for {name}", _in_place(name, lambda path, moved: path.symlink_to(moved)))
        yield Tampering(
            f"link to /etc/passwd for {name}", _in_place(name, lambda path, _moved: path.symlink_to("/etc/passwd"))
        )
        yield Tampering(f"pipe for {name}", _in_place(name, lambda path, _moved: os.mkfifo(path)))
        yield Tampering(f"folder for {name}", _in_place(name, lambda path, _moved: path.mkdir()))
        yield Tampering(f"hole of a terabyte for {name}", _in_place(name, _hole))
    yield from _crafted()
    yield Tampering("weights of another version", _swap)
    for name, body in _archives().items():
        yield Tampering(f"crafted archive: {name}", _forge("weights.npz", body), True)


def _crafted() -> Iterator[Tampering]:
    """Yield paths in the row and in the manifest, and manifests and documents with the expected hash."""
    # Not NUL: PostgreSQL and the API refuse it.
    for name in (
        "../x",
        "..",
        ".",
        "",
        "/etc",
        "/",
        "a/../../b",
        "a\\..\\b",
        ".writing-x",
        "x" * 250,
        "a\nb",
        "%2e%2e",
    ):
        yield Tampering("path in the row's name", _name(name))
    for name in ("../pipeline.json", "/etc/hostname", "weights.npz/../../x", "..", "keras.h5"):
        yield Tampering(
            "path in the manifest", _forge_manifest({"files": {name: "0" * 64, "pipeline.json": "0" * 64}}), True
        )
    manifests: tuple[Any, ...] = ([], "text", None, {"pipeline.json": 5}, {"weights.npz": "0" * 64})
    for files in manifests:
        yield Tampering("crafted manifest", _forge_manifest({"files": files}), True)
    yield Tampering("crafted manifest", _forge_manifest({"format": 99}), True)
    yield Tampering("crafted manifest", _forge_manifest({"config": {"strategy": "multi_step"}}), True)
    yield Tampering("crafted document", _forge("pipeline.json", b"[" * 300_000), True)
    yield Tampering("crafted document", _forge("pipeline.json", b"[]"), True)
    yield Tampering("crafted document", _forge("pipeline.json", b'{"lookback": "x"}'), True)


def _archives() -> dict[str, bytes]:
    """Return archives that `pack_weights` does not make, by name."""
    good = _array("(2,)", body=b"\0" * 8)
    return {
        "pickled object": _pickled(),
        "bomb": _archive({"seed0.kernel.npy": b"\0" * (20 << 20)}, zipfile.ZIP_DEFLATED),
        "member ../": _archive({"../seed0.kernel.npy": good}),
        "member /etc": _archive({"/etc/passwd": good}),
        "member of another name": _archive({"seed0.kernel": good}),
        "no member": _archive({}),
        "missing arrays": _archive({"seed0.kernel.npy": good}),
        "huge shape": _archive({"seed0.kernel.npy": _array("(1000000000000,)")}),
        "shape that wraps": _archive({"seed0.kernel.npy": _array("(4294967296, 4294967296, 4294967296)")}),
        "negative shape": _archive({"seed0.kernel.npy": _array("(-2,)", body=b"\0" * 8)}),
        "code in the header": _archive({"seed0.kernel.npy": _array("__import__('os').getpid()")}),
        "NaN": _archive({"seed0.kernel.npy": _array("(1,)", body=np.float32(np.nan).tobytes())}),
        "no archive": b"no archive",
    }
