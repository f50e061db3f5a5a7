"""The limits of the reader: kind, size, unpacked size, line length and years."""

import gzip
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np

from service.prices.sources.base import Malformed

MOST_BYTES = 200_000_000
"""Most bytes of a file, packed or unpacked."""

MOST_RATIO = 100
"""Most bytes that a byte of a gzip file may unpack to."""

LONGEST_LINE = 65_536
"""Most bytes of a line, without its end."""

MOST_FILES = 50_000
"""Most files in a folder and the folders below it."""

OLDEST_YEAR = 1900
"""First year that a row may have; the last is next year."""

_RATIO_FROM = 1_000_000
"""Unpacked bytes from which the ratio counts: a short file of equal rows packs well."""

_CHUNK = 1_000_000
_GZIP_MAGIC = b"\x1f\x8b"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def printable(text: object) -> str:
    """Return a path or a cell for a message, with control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def fault(path: Path, line: int | None, reason: str) -> Malformed:
    """Return the error of a file, with its line if there is one."""
    sentence = printable(" ".join(reason.split()))  # a library's reason may have several lines
    return Malformed(f"{printable(path)}:{'' if line is None else f'{line}:'} {sentence}")


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Return the content of a regular file, unpacked if it is gzip.

    Args:
        path: The file; a link is followed.
        most: Number of unpacked bytes after which reading stops; None = the whole file.

    Raises:
        Malformed: It is no regular file, exceeds a limit, or cannot be read or unpacked.
    """
    try:
        packed = _read_regular(path, most)
        if not packed.startswith(_GZIP_MAGIC):
            return packed
        return _unpack(path, packed, most)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise fault(path, None, f"cannot be read ({reason}); replace the file") from error


def _read_regular(path: Path, most: int | None) -> bytes:
    _require_regular(path, os.stat(path))
    # A pipe that took the file's place since would block an open without this flag.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        _require_regular(path, state)
        if state.st_size > MOST_BYTES:
            raise fault(path, None, f"holds {_megabytes(state.st_size)}, the limit is {_LIMIT}; split the file")
        content = file.read(MOST_BYTES + 1 if most is None else most)
    if len(content) > MOST_BYTES:
        raise fault(path, None, f"grew over the limit of {_LIMIT} while it was read; split the file")
    return content


def _require_regular(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(state.st_mode)), "of another kind")
        raise fault(path, None, f"is {kind}, only regular files are read; replace it with a file")


def _unpack(path: Path, packed: bytes, most: int | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    with gzip.GzipFile(fileobj=BytesIO(packed)) as file:
        while most is None or size < most:
            try:
                part = file.read(_CHUNK if most is None else most - size)
            except EOFError:
                if most is None or size == 0:
                    raise
                break  # only the head was read
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise fault(path, None, f"unpacks to more than the limit of {_LIMIT}; split the file")
            if most is None and size > max(_RATIO_FROM, MOST_RATIO * len(packed)):
                raise fault(
                    path, None, f"unpacks to more than {MOST_RATIO} times its {len(packed)} bytes; store it unpacked"
                )
    return b"".join(parts)


def check_lines(path: Path, text: bytes) -> None:
    """Refuse a text with a line that is too long.

    Args:
        path: The file, for the message.
        text: Its content, with line ends of one newline.

    Raises:
        Malformed: A line is longer than `LONGEST_LINE`.
    """
    if len(text) <= LONGEST_LINE:
        return
    ends = np.concatenate([[-1], np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n")), [len(text)]])
    long = np.flatnonzero(np.diff(ends) - 1 > LONGEST_LINE)
    if len(long):
        raise fault(path, int(long[0]) + 1, f"the line is longer than {LONGEST_LINE // 1024} kB; repair the line")


def walk(folder: Path, on_error: Callable[[OSError], None]) -> Iterator[Path]:
    """Yield the files of a folder and all folders below it, sorted.

    Names that begin with a dot are skipped. Links to folders are followed, so a loop of links ends at the first
    folder that was seen before.

    Raises:
        Malformed: There are more than `MOST_FILES` files.
    """
    seen: set[tuple[int, int]] = set()
    count = 0
    for root, folders, names in os.walk(folder, onerror=on_error, followlinks=True):
        state = os.stat(root)
        folders.sort()
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(names):
            if name.startswith("."):
                continue
            count += 1
            if count > MOST_FILES:
                raise fault(folder, None, f"holds more than {MOST_FILES} files; name a folder with price files only")
            yield Path(root, name)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


_LIMIT = _megabytes(MOST_BYTES)
