"""Cutting a keyset page: one row more is read than shown, so that the last page knows that it is the last."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from service.api.common.cursor import Key, encode

Item = TypeVar("Item")


def cut(
    rows: Sequence[Item], limit: int, kind: str, keys: Callable[[Item], tuple[Key, ...]]
) -> tuple[Sequence[Item], str | None]:
    """A page and the cursor of the next.

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
    shown = rows[:limit]
    return shown, encode(kind, *keys(shown[-1]))
