"""A file of heads outside the database: one JSON line per recorded head, only appended to.

Who can rewrite the database cannot rewrite this file if it is on another host, or on storage that only takes appends.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from service.errors import LedgerError
from service.hash_chains.export import is_hash, parse_line, read_document
from service.hash_chains.links import Chain, Heads, read_hash
from service.hash_chains.verify import KnownHeads

_LINE = 1_000
"""Longest line in bytes; one has about 260."""


def append_heads(path: Path, heads: Heads, at: datetime) -> None:
    """Append heads to a file as one line, durably; the file is created if needed.

    Args:
        path: The file.
        heads: The heads.
        at: Machine time.

    Raises:
        LedgerError: the file cannot be written.
    """
    instant = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    line = json.dumps({"at": instant, **heads.document()}, separators=(",", ":")) + "\n"
    try:
        # One write to a file opened for appending: lines of two processes do not mix.
        number = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # A line that was cut by a full disk must not spoil this one.
            size = os.fstat(number).st_size
            cut = size > 0 and os.pread(number, 1, size - 1) != b"\n"
            os.write(number, (b"\n" if cut else b"") + line.encode())
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        raise _unreadable(path, "written", error) from error


def read_newest(path: Path) -> Heads | None:
    """Return the heads of the newest complete line; None without one.

    Raises:
        LedgerError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * _LINE))
            lines = file.read().splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, "read", error) from error
    for line in reversed(lines):
        try:
            return read_document(parse_line(line), str(path))
        except (ValueError, LedgerError):
            continue
    return None


def find_lost_heads(connection: Connection, heads: Heads) -> Iterator[str]:
    """Yield a sentence for each recorded head that the database does not have: a chain was cut short or rewritten."""
    for chain in Chain:
        head = heads.of(chain)
        if head.number == 0:
            continue
        found = read_hash(connection, chain, head.number)
        if found is None:
            yield f"{chain.value} {head.number} of the recorded head is missing: the chain was cut short"
        elif found != head.hash:
            yield (
                f"{chain.value} {head.number} was rewritten: its hash is {found[:16]}, "
                f"the recorded head has {head.hash[:16]}"
            )


def read_known_heads(texts: Iterator[str] | list[str]) -> tuple[KnownHeads, list[str]]:
    """Return the heads of `--head` options.

    Args:
        texts: Each a hash, or a file of heads.

    Returns:
        The heads, and a sentence for each line or head that contradicts another or cannot be read.

    Raises:
        LedgerError: a text is neither a hash nor a readable file.
    """
    known, faults = KnownHeads(), []
    for text in texts:
        if is_hash(text.lower()):
            known.hashes.add(text.lower())
            continue
        if "\0" in text or len(text) > 4096:
            raise LedgerError("--head is neither a hash of 64 hexadecimal digits nor a file")
        faults += _read_file(Path(text), known)
    return known, faults


def _read_file(path: Path, known: KnownHeads) -> list[str]:
    faults, count = [], 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LINE), b""), start=1):
                if not line.strip():
                    continue
                where = f"{path}, line {number}"
                try:
                    faults += known.add(read_document(parse_line(line), where))
                    count += 1
                except (ValueError, LedgerError):
                    faults.append(f"{where} is not a head; it was altered, or cut by a full disk")
    except OSError as error:
        raise _unreadable(path, "read", error) from error
    if not count:
        raise LedgerError(f"{path} has no heads; name a file that TPLUS_LEDGER_HEAD_FILE names, or a hash")
    return faults


def _unreadable(path: Path, verb: str, error: OSError) -> LedgerError:
    return LedgerError(f"the file of heads {path} cannot be {verb}: {error.strerror}; check TPLUS_LEDGER_HEAD_FILE")
