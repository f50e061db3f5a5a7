"""Marks unscheduled closures: no symbol of an exchange has a bar while other exchanges have theirs."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, select

from service.db.change_counters import raise_changes
from service.db.tables import bars, instruments, quarantine, sessions
from service.market.sessions import mark_closed
from service.prices.pull.fetch_ranges import HEAL_DAYS
from service.runs import Outcome, Run
from service.runtime.context import ServiceContext
from service.vocabulary import SessionState

MAX_SESSIONS = 5
"""Longest run of sessions without a bar that counts as a closure while no later bar is stored. After a longer run the
record may have ended."""

_ANSWERED = ("ok", "no_bar")
"""Outcomes of a pull in which the source answered other sessions."""

_MIN_SYMBOLS = 2
"""Symbols that must lack the bar while no later bar is stored: one alone may be halted or delisted."""


def mark_closures(
    context: ServiceContext, connection: Connection, run: Run, outcomes: Sequence[Outcome], at: datetime
) -> tuple[date, ...]:
    """Mark the unscheduled closures of a calendar; a late bar reopens the session.

    A session of the last 30 days counts as closed if its successor has opened, no symbol of the calendar has a bar
    or a quarantined row of it, another calendar has bars of that date, and the source answered for more than half of
    the calendar's symbols. With a later bar on the calendar these conditions suffice; without one, two symbols must
    lack the bar and at most `MAX_SESSIONS` sessions in a row are marked.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        run: The pull that ends.
        outcomes: Outcomes of its symbols, earlier attempts included.
        at: Aware UTC market time of the pull.

    Returns:
        The sessions that were marked, oldest first.
    """
    first = run.session - timedelta(days=HEAL_DAYS)
    own = instruments.c.calendar == run.scope
    traded = _days_with_bars(connection, first, run.session, own)
    firsts = _first_sessions(connection, run.scope)
    if not traded or not firsts:
        return ()  # no bars at all, or none for so long that the record may have ended
    gaps = [
        day
        for day in _expected(connection, run.scope, first, run.session)
        if day not in traded and min(firsts.values()) < day and context.calendars.deadline(run.scope, day) <= at
    ]
    if not gaps:
        return ()
    elsewhere = _days_with_bars(connection, gaps[0], gaps[-1], ~own)
    answered = {outcome.symbol for outcome in outcomes if outcome.state in _ANSWERED}
    quarantined = _quarantined_days(connection, run.scope, gaps)
    newest = max(traded)
    trailing = context.calendars.get(run.scope).sessions(newest, run.session)[1 : 1 + MAX_SESSIONS]
    closed = []
    for day in gaps:
        symbols = {symbol for symbol, first in firsts.items() if first < day}
        lacking = len(symbols & answered)
        is_sure = day < newest or (lacking >= _MIN_SYMBOLS and day in trailing)
        if 2 * lacking > len(symbols) and is_sure and day in elsewhere and day not in quarantined:
            closed.append(day)
    if mark_closed(connection, run.scope, closed):
        raise_changes(connection, firsts)
    return tuple(closed)


def notify_closed(context: ServiceContext, calendar: str, closed: Sequence[date]) -> None:
    """Report the sessions that this pull marked as closed; the caller passes each of them once."""
    for day in closed:
        context.reporter.notice(
            f"{calendar}: no symbol has a bar of {day} while other exchanges have theirs: an unplanned closure, or an "
            "outage of the source; the session counts as closed until a bar of it arrives"
        )


def _expected(connection: Connection, calendar: str, first: date, last: date) -> Sequence[date]:
    query = select(sessions.c.session).where(
        sessions.c.calendar == calendar,
        sessions.c.session.between(first, last),
        sessions.c.state == SessionState.EXPECTED,
    )
    return connection.execute(query.order_by(sessions.c.session)).scalars().all()


def _days_with_bars(connection: Connection, first: date, last: date, condition: ColumnElement[bool]) -> set[date]:
    # Symbols first: a join in the other order would read all bars of the database.
    symbols = select(instruments.c.symbol).where(condition)
    query = select(bars.c.session).where(bars.c.symbol.in_(symbols), bars.c.session.between(first, last)).distinct()
    return set(connection.execute(query).scalars())


def _first_sessions(connection: Connection, calendar: str) -> dict[str, date]:
    """Return the first stored session of each symbol that is pulled."""
    query = select(instruments.c.symbol, instruments.c.first_session).where(
        instruments.c.calendar == calendar,
        instruments.c.active | instruments.c.reference,
        instruments.c.first_session.is_not(None),
    )
    return {symbol: first for symbol, first in connection.execute(query)}


def _quarantined_days(connection: Connection, calendar: str, days: Sequence[date]) -> set[date | None]:
    """Return the sessions with a quarantined row: even a bad row shows that the exchange was open."""
    query = (
        select(quarantine.c.session)
        .join(instruments, instruments.c.symbol == quarantine.c.symbol)
        .where(instruments.c.calendar == calendar, quarantine.c.session.in_(list(days)))
    )
    return set(connection.execute(query).scalars())
