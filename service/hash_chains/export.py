"""Writes the ledger as JSON lines, and verifies such a file without a database.

Each line is one JSON object. The first has `kind` `ledger`, the last `kind` `end` with both heads; each line between is
a link: `kind` `edition` or `score_batch`, `header`, `hash`, and its rows. docs/ledger.md describes the format.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection

from service.db.hash_chain import plain_row
from service.errors import LedgerError
from service.hash_chains.links import PARTS, Chain, Head, Heads, Link, read_links
from service.hash_chains.verify import KnownHeads, Report, Verifier

FORMAT = 1
MAX_LINE = 256 * 2**20
"""Longest line in bytes that is read: an edition of 100,000 forecasts has about 80 MB."""

_KINDS: Mapping[str, Chain] = {"edition": Chain.EDITIONS, "score_batch": Chain.SCORE_BATCHES}
_HASH_DIGITS = frozenset("0123456789abcdef")


def write_export(connection: Connection, path: Path, facts: Mapping[str, Any]) -> int:
    """Write every link to a file, one at a time; the file appears only when it is complete.

    Args:
        connection: A snapshot of the database.
        path: The file; an existing one is replaced.
        facts: Further fields of the first line.

    Returns:
        Number of links.

    Raises:
        LedgerError: the file cannot be written.
    """
    staged = path.with_name(f".{path.name}.writing")
    try:
        with staged.open("w", encoding="utf-8") as file:
            count = _write(connection, file, facts)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise LedgerError(f"{path} cannot be written: {error.strerror}; free space or name another file") from error
    return count


def verify_export(path: Path, known: KnownHeads | None = None) -> Report:
    """Verify an export, without a database.

    Args:
        path: A file of `write_export`.
        known: Heads recorded elsewhere.

    Raises:
        LedgerError: the file cannot be read, or is not an export.
    """
    verifier = Verifier(known)
    end: Heads | None = None
    try:
        with path.open("rb") as file:
            lines = _lines(file, path)
            _check_first(next(lines, {}), path)
            for number, line in enumerate(lines, start=2):
                if end is not None:
                    raise _bad(path, number, "follows the last line")
                if line.get("kind") == "end":
                    end = read_document(line, f"{path}, line {number}")
                else:
                    verifier.check(_link(line, path, number))
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}; name a file of `tplus ledger export`") from error
    report = verifier.end()
    if end is None:
        report.add("the export has no last line: the file was cut short")
    elif end != report.heads:
        report.add("the heads of the export's last line are not those of its last links: lines were removed or added")
    return report


def read_document(document: Mapping[str, Any], where: str) -> Heads:
    """Return the heads of a JSON object with `editions` and `score_batches`.

    Raises:
        LedgerError: they are missing or malformed.
    """
    found = []
    for name in ("editions", "score_batches"):
        head = document.get(name)
        if not isinstance(head, dict) or not _is_number(head.get("number")) or not is_hash(head.get("hash")):
            raise LedgerError(f"{where}: {name} is not a number with a hash; use what Tplus wrote, unchanged")
        found.append(Head(head["number"], head["hash"]))
    return Heads(*found)


def is_hash(value: object) -> bool:
    """Return whether a value is a SHA-256 in 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= _HASH_DIGITS


def parse_line(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a line.

    Raises:
        ValueError: it is not a JSON object.
    """
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return value


def _write(connection: Connection, file: IO[str], facts: Mapping[str, Any]) -> int:
    file.write(_line({"kind": "ledger", "format": FORMAT, **facts}))
    last = dict.fromkeys(Chain, Head())
    count = 0
    for link in read_links(connection):
        parts = {name: [plain_row(row) for row in rows] for name, rows in link.parts.items()}
        kind = next(kind for kind, chain in _KINDS.items() if chain == link.chain)
        file.write(_line({"kind": kind, "header": plain_row(link.header), "hash": link.hash, **parts}))
        last[link.chain] = Head(link.number, link.hash)
        count += 1
    heads = Heads(last[Chain.EDITIONS], last[Chain.SCORE_BATCHES])
    file.write(_line({"kind": "end", **heads.document()}))
    return count


def _line(document: Mapping[str, Any]) -> str:
    # NaN is written as such: an altered row must be exported and reported, not end the export.
    return json.dumps(document, separators=(",", ":")) + "\n"


def _lines(file: IO[bytes], path: Path) -> Iterator[dict[str, Any]]:
    number = 0
    while body := file.readline(MAX_LINE + 1):
        number += 1
        if len(body) > MAX_LINE:
            raise _bad(path, number, f"is longer than {MAX_LINE} bytes")
        try:
            yield parse_line(body)
        except ValueError as error:
            raise _bad(path, number, f"is not a JSON object ({error})") from error


def _check_first(line: Mapping[str, Any], path: Path) -> None:
    if line.get("kind") != "ledger":
        raise LedgerError(f"{path} is not an export of the ledger; name a file of `tplus ledger export`")
    if line.get("format") != FORMAT:
        raise LedgerError(
            f"{path} has format {str(line.get('format'))[:20]}, this version reads {FORMAT}; "
            "use the version that wrote it"
        )


def _link(line: Mapping[str, Any], path: Path, place: int) -> Link:
    chain, header = _KINDS.get(str(line.get("kind"))), line.get("header")
    if chain is None or not isinstance(header, dict) or not _is_number(header.get("number")):
        raise _bad(path, place, "is neither an edition nor a score batch")
    parts = {name: line.get(name) for name in PARTS[chain]}
    for name, rows in parts.items():
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _bad(path, place, f"has no list of {name}")
    if not isinstance(line.get("hash"), str):
        raise _bad(path, place, "has no hash")
    return Link(chain, header["number"], header, parts, line["hash"])  # type: ignore[arg-type]


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _bad(path: Path, number: int, problem: str) -> LedgerError:
    return LedgerError(f"{path}, line {number} {problem}; export the ledger again")
