"""Reads the fault that keeps prices from arriving: since when, and when the next try is."""

from collections.abc import Sequence

from sqlalchemy import Connection

from service.api.common.rows import RunRow
from service.api.status import queries as status
from service.api.status.schemas import FaultKind, SourceFault

_UNANSWERED = "transient"
_RATE_LIMITED = "deferred"


def read_source_fault(connection: Connection) -> SourceFault | None:
    """Return the current fault of the price source, None if prices arrive."""
    pulls = status.read_faulty_pulls(connection)
    if not pulls:
        return None
    scopes = [pull.scope for pull in pulls]
    others = f" (and those of {', '.join(sorted(scopes[1:]))})" if len(scopes) > 1 else ""
    first = pulls[0]
    why = first.error or "; ".join(first.warnings)
    starts = [start for pull in pulls if (start := status.read_fault_start(connection, pull)) is not None]
    return SourceFault(
        sentence=f"prices of {first.scope}{others} are not arriving: {why}",
        kind=_kind(connection, pulls),
        since=min(starts, default=None),
        next_try_at=status.read_next_try(connection, pulls),
    )


def _kind(connection: Connection, pulls: Sequence[RunRow]) -> FaultKind:
    if _RATE_LIMITED in status.read_outcome_states(connection, pulls):
        return "rate_limited"
    # An older pull may hold answers from before the fault: its symbols that are done are not fetched again.
    newest = max(pulls, key=lambda pull: pull.id)
    return "unreachable" if status.read_outcome_states(connection, [newest]) == {_UNANSWERED} else "partial"
