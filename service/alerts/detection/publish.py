"""The two places where the ledger becomes events: a published edition, and a score batch."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, select

from service.alerts.detection.coverage import coverage_events
from service.alerts.detection.intervals import interval_events, read_scored
from service.alerts.detection.widths import width_events
from service.alerts.outbox import AlertEvent, Instants, emit
from service.alerts.subscriptions import Subscription, read_subscriptions
from service.db.tables import instruments
from service.vocabulary import AlertKind


def alert_on_edition(
    connection: Connection,
    header: Mapping[str, Any],
    subscriptions: Sequence[Subscription],
    widths: Mapping[str, tuple[date, float]],
    at: Instants,
) -> None:
    """Emit the events of a published edition; symbols that no subscription covers are left out.

    Args:
        connection: The publishing transaction, with the edition in it.
        header: number, mode and calendar of the edition.
        subscriptions: Those that want such events.
        widths: By symbol the as_of and the width of the served one-step 80 % interval, log return.
        at: The instants.
    """
    query = select(instruments.c.symbol, instruments.c.group).where(instruments.c.calendar == header["calendar"])
    covered = {
        row.symbol
        for row in connection.execute(query)
        if row.symbol in widths and any(each.covers(row.symbol, row.group) for each in subscriptions)
    }
    own = {symbol: width for symbol, width in widths.items() if symbol in covered}
    events = list(width_events(connection, header["mode"], header["calendar"], header["number"], own))
    if events:
        emit(connection, events, at)


def alert_on_scores(connection: Connection, rows: Sequence[dict[str, Any]], at: Instants) -> None:
    """Emit the events of a score batch.

    Args:
        connection: The score job's write transaction, with the batch in it.
        rows: Its rows.
        at: The instants.
    """
    left = read_subscriptions(connection, AlertKind.CLOSE_LEFT_INTERVAL)
    drifted = read_subscriptions(connection, AlertKind.COVERAGE_DRIFTED)
    if not left and not drifted:
        return
    scored = read_scored(connection, rows)
    events: list[AlertEvent] = list(interval_events(scored)) if left else []
    events += coverage_events(connection, drifted, scored)
    if events:
        emit(connection, events, at)
