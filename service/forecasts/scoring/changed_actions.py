"""Finds old forecasts across a day that changed their actual return.

A full resync corrects actions of any age, and a held-back bar may be settled late.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, and_, func, or_, select, union_all

from service.db.tables import corporate_action_revisions, corporate_actions, forecasts, instruments

FORECAST_REACH = timedelta(days=30)
"""More calendar days than a forecast reaches."""

_AT_ONCE = 200
"""Days in one query."""


def forecasts_of_changed_actions(connection: Connection, calendar: str, since: date) -> frozenset[int]:
    """Return the forecasts with targets before a date across whose sessions an action changed since then.

    An action that was withdrawn, moved, corrected or added counts: where it is now and where it was.

    Args:
        connection: Any connection.
        calendar: The forecasts' calendar.
        since: Market date (inclusive); also the first target that is not searched.
    """
    at = datetime.combine(since, time(), UTC)
    current, old = corporate_actions.c, corporate_action_revisions.c
    changed = union_all(
        select(current.symbol, current.ex_date).where(current.fetched_at >= at),
        select(old.symbol, old.ex_date).where(old.replaced_at >= at),
    ).subquery()
    # The first pull of a symbol stores decades of actions before its first forecast.
    first = select(func.min(forecasts.c.target_session)).where(forecasts.c.symbol == changed.c.symbol).scalar_subquery()
    query = (
        select(changed.c.symbol, changed.c.ex_date)
        .join(instruments, instruments.c.symbol == changed.c.symbol)
        .where(instruments.c.calendar == calendar, changed.c.ex_date < since, changed.c.ex_date >= first)
        .distinct()
    )
    return forecasts_across(connection, [(row.symbol, row.ex_date) for row in connection.execute(query)], since)


def forecasts_across(connection: Connection, days: Sequence[tuple[str, date]], since: date) -> frozenset[int]:
    """Return the forecasts issued before a day of their symbol with a target from it on.

    Args:
        connection: Any connection.
        days: Symbols and days.
        since: The last target that is searched.
    """
    found: set[int] = set()
    for start in range(0, len(days), _AT_ONCE):
        found |= set(_crossing(connection, days[start : start + _AT_ONCE], since))
    return frozenset(found)


def _crossing(connection: Connection, days: Iterable[tuple[str, date]], since: date) -> list[int]:
    crossing = or_(
        *(
            and_(
                forecasts.c.symbol == symbol,
                forecasts.c.as_of < day,
                forecasts.c.target_session.between(day, min(day + FORECAST_REACH, since)),
            )
            for symbol, day in days
        )
    )
    return list(connection.execute(select(forecasts.c.id).where(crossing)).scalars())
