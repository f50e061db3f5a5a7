"""The cache key of answers: values that differ whenever an answer may have changed."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from service.api.common.rows import read_rows
from service.db.change_counters import ALL
from service.db.tables import change_counters, instruments, runs, stamp
from service.vocabulary import Job

# Built once: building a statement takes longer than sending it.
_VALUES = select(
    select(change_counters.c.counter).where(change_counters.c.scope == ALL).scalar_subquery(),
    select(func.max(runs.c.finished_at)).where(runs.c.job == Job.FORECAST).scalar_subquery(),
    select(stamp.c.created_at).scalar_subquery(),
)
_TABLE = instruments.c
_STATES = (
    # A symbol's state may change without the counter: a first pull that fails does not raise it.
    select(_TABLE.state, _TABLE.active, func.count(), func.max(_TABLE.state_since))
    .group_by(_TABLE.state, _TABLE.active)
    .order_by(_TABLE.state, _TABLE.active)
)


class StateGroup(NamedTuple):
    """The instruments of one state, on or off the watchlist: their number, and the newest change."""

    state: str
    active: bool
    symbols: int
    newest_since: datetime


@dataclass(frozen=True, slots=True)
class CacheKey:
    """Values that differ whenever an answer may have changed.

    Attributes:
        counter: The change counter.
        states: The instruments by state, on and off the watchlist.
        forecast_run_at: Machine time at which the last forecast run ended; None before the first.
        created_at: Machine time at which the database was set up: it may be replaced.
    """

    counter: int
    states: tuple[StateGroup, ...]
    forecast_run_at: datetime | None
    created_at: datetime | None


def read_cache_key(connection: Connection) -> CacheKey:
    """Return the current key: two short queries, for any number of symbols."""
    counter, forecast_run_at, created_at = connection.execute(_VALUES).one()
    return CacheKey(counter or 0, tuple(read_rows(connection, StateGroup, _STATES)), forecast_run_at, created_at)
