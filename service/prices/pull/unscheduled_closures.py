"""Marks unscheduled closures: no symbol of an exchange has a bar while other exchanges have theirs."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, select

from service.db.change_counters import raise_changes
from service.db.tables import bars, instruments, quarantine, sessions
from service.market.sessions import EXPECTED, mark_closed
from service.prices.pull.fetch_ranges import HEAL_DAYS
from service.runs import Outcome, Run
from service.runtime.context import ServiceContext

LONGEST = 5
"""Longest run of sessions without a bar that counts as a closure before a later bar is there. After a longer one the
record may have ended."""

_ANSWERED = ("ok", "no_bar")
"""Outcomes of a pull in which the source answered other sessions."""
_FEWEST = 2
"""Symbols that must agree while no later bar is there: one alone may be halted or delisted."""


def mark_closures(
    context: ServiceContext, connection: Connection, run: Run, outcomes: Sequence[Outcome], at: datetime
) -> tuple[date, ...]:
    """Mark the unscheduled closures of a calendar; a late bar reopens the session.

    A session of the last 30 days counts as closed if its successor has opened, no symbol of the calendar has a bar
    or a suspect row of it, another calendar has bars of that date, and the source answered more than half of the
    calendar's symbols. With a later bar on the calendar that is enough; without one, two symbols
    must agree and at most `LONGEST` sessions in a row are marked.

    Args:
        context: The service's parts.
        connection: An open write transaction.
        run: The pull that ends.
        outcomes: Outcomes of its symbols, earlier attempts included.
        at: Aware UTC market time of the pull.

    Returns:
        The sessions that were marked, oldest first.
    """
    span = (run.session - timedelta(days=HEAL_DAYS), run.session)
    own = instruments.c.calendar == run.scope
    traded = _days_with_bars(connection, span, own)
    firsts = _first_sessions(connection, run.scope)
    if not traded or not firsts:
        return ()  # no bars at all, or none for so long that the record has ended
    gaps = [
        day
        for day in _expected(connection, run.scope, span)
        if day not in traded and min(firsts.values()) < day and context.calendars.deadline(run.scope, day) <= at
    ]
    if not gaps:
        return ()
    elsewhere = _days_with_bars(connection, (gaps[0], gaps[-1]), ~own)
    answered = {outcome.symbol for outcome in outcomes if outcome.state in _ANSWERED}
    doubted = _held(connection, run.scope, gaps)
    newest = max(traded)
    trailing = context.calendars.get(run.scope).sessions(newest, run.session)[1 : 1 + LONGEST]
    chosen = []
    for day in gaps:
        symbols = {symbol for symbol, first in firsts.items() if first < day}
        agree = len(symbols & answered)
        is_sure = day < newest or (agree >= _FEWEST and day in trailing)
        if 2 * agree > len(symbols) and is_sure and day in elsewhere and day not in doubted:
            chosen.append(day)
    if mark_closed(connection, run.scope, chosen):
        raise_changes(connection, firsts)
    return tuple(chosen)


def notify_closed(context: ServiceContext, calendar: str, closed: Sequence[date]) -> None:
    """Report once which sessions were marked as closed."""
    for day in closed:
        context.reporter.notice(
            f"{calendar}: no symbol has a bar of {day} while other exchanges have theirs: an unplanned closure, or an "
            "outage of the source; the session counts as closed until a bar of it arrives"
        )


def _expected(connection: Connection, calendar: str, span: tuple[date, date]) -> Sequence[date]:
    query = select(sessions.c.session).where(
        sessions.c.calendar == calendar, sessions.c.session.between(*span), sessions.c.state == EXPECTED
    )
    return connection.execute(query.order_by(sessions.c.session)).scalars().all()


def _days_with_bars(connection: Connection, span: tuple[date, date], whose: ColumnElement[bool]) -> set[date]:
    # Symbols first: joined the other way round, all bars of the database would be read.
    symbols = select(instruments.c.symbol).where(whose)
    query = select(bars.c.session).where(bars.c.symbol.in_(symbols), bars.c.session.between(*span)).distinct()
    return set(connection.execute(query).scalars())


def _first_sessions(connection: Connection, calendar: str) -> dict[str, date]:
    """Return the first stored session of each symbol that is pulled."""
    query = select(instruments.c.symbol, instruments.c.first_session).where(
        instruments.c.calendar == calendar,
        instruments.c.active | instruments.c.reference,
        instruments.c.first_session.is_not(None),
    )
    return {symbol: first for symbol, first in connection.execute(query)}


def _held(connection: Connection, calendar: str, days: Sequence[date]) -> set[date | None]:
    """Return the sessions with a row of the source, even a bad one: the exchange was open."""
    query = (
        select(quarantine.c.session)
        .join(instruments, instruments.c.symbol == quarantine.c.symbol)
        .where(instruments.c.calendar == calendar, quarantine.c.session.in_(list(days)))
    )
    return set(connection.execute(query).scalars())
