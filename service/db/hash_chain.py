"""Hashes of stored documents and rows, in a chain each over the hash before it: one hash verifies everything older."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

GENESIS = "0" * 64
"""Previous hash of the first link of a chain."""


def chain_hash(header: Mapping[str, Any], parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the SHA-256, in hex, over the canonical JSON of a header and its rows.

    Args:
        header: Column name -> value; holds the number and the previous hash.
        parts: Rows by a name for their kind, each a mapping of column name to value. Their order does not matter.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    document: dict[str, Any] = {"header": plain_row(header)}
    for name, rows in parts.items():
        document[name] = sorted((plain_row(row) for row in rows), key=_canonical)
    return json_hash(document)


def json_hash(document: Any) -> str:
    """Return the SHA-256, in hex, over the canonical JSON of a document: the order of keys does not matter.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    return hashlib.sha256(_canonical(document).encode()).hexdigest()


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is hashed: dates and instants as text."""
    return {str(name): _text(value) for name, value in row.items()}


def _text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return value.isoformat() if hasattr(value, "isoformat") else value


def _canonical(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
