"""Keyset pages and their opaque cursors."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

from service.errors import NotFound

MAX_LENGTH = 400
"""Most characters of a cursor."""

UNKNOWN_CURSOR = "there is no page of this cursor; use `next_cursor` of the previous page, or omit it"

_MAX_KEY = 2**63 - 1

Key = str | int | date
Item = TypeVar("Item")


def encode(kind: str, *keys: Key) -> str:
    """Return a cursor for the last row of a page.

    Args:
        kind: The route's name; a cursor of another route is refused.
        keys: The row's sort keys, in sort order.
    """
    plain = [kind, *(key.isoformat() if isinstance(key, date) else key for key in keys)]
    text = json.dumps(plain, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(kind: str, cursor: str | None, *types: type[Key]) -> tuple[Key, ...] | None:
    """Return the sort keys in a cursor.

    Args:
        kind: The route's name.
        cursor: The client's cursor; None for the first page.
        types: The type of each key: `str`, `int` or `date`.

    Returns:
        One key per type, None for the first page.

    Raises:
        NotFound: it was not made by this route.
    """
    if cursor is None:
        return None
    try:
        raw = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(raw, list) or len(raw) != len(types) + 1 or raw[0] != kind:
            raise ValueError("a cursor of another route")
        return tuple(_key(value, expected) for value, expected in zip(raw[1:], types, strict=True))
    except (ValueError, RecursionError, binascii.Error) as error:
        raise NotFound(UNKNOWN_CURSOR) from error


def cut(
    rows: Sequence[Item], limit: int, kind: str, keys: Callable[[Item], tuple[Key, ...]]
) -> tuple[Sequence[Item], str | None]:
    """Return a page and the cursor of the next.

    One more row is read than returned, which shows whether a page is the last.

    Args:
        rows: Up to `limit + 1` rows.
        limit: Items in a page.
        kind: The route's name.
        keys: The sort keys of a row.

    Returns:
        Up to `limit` rows; the cursor, None on the last page.
    """
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode(kind, *keys(page[-1]))


def _key(value: object, expected: type[Key]) -> Key:
    if expected is int and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_KEY:
        return value
    if expected is str and isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    if expected is date and isinstance(value, str):
        return date.fromisoformat(value)
    raise ValueError(f"{value!r} is not a {expected.__name__}")
