"""What carrying out a request did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Carried:
    """Result of a request, inside the transaction that carried it out.

    Attributes:
        subject: What it changed, for the audit.
        runs: Ids of the runs that it waits for.
        note: A sentence for the client, or None.
        waits: Whether the request ends later: with its runs, or with the first pull of its symbol.
        detail: Further facts for the audit.
        is_recorded: Whether the audit has its entry already.
    """

    subject: str
    runs: tuple[int, ...] = ()
    note: str | None = None
    waits: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)
    is_recorded: bool = False


Action = Callable[[Connection], Carried]
"""Writes a checked request inside the transaction that ends it."""
