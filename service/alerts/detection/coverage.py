"""Coverage that drifted, from a score batch: one sequential test per subscription and symbol."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from service.alerts.detection.cusum import LEVEL, Sums, Thresholds, thresholds
from service.alerts.detection.intervals import ScoredForecast
from service.alerts.outbox import AlertEvent
from service.alerts.subscriptions import Subscription
from service.db.tables import alert_coverage, instruments
from service.db.upsert import upsert
from service.vocabulary import AlertKind


def coverage_events(
    connection: Connection, subscriptions: Sequence[Subscription], scored: Sequence[ScoredForecast]
) -> Iterator[AlertEvent]:
    """Count new outcomes in every subscription's tests and yield their alarms.

    A session counts once, in order: a corrected score is not counted again, a late one from before the newest is left
    out. After an alarm the symbol's test starts from 0.

    Args:
        connection: The score job's write transaction.
        subscriptions: Those that want this kind.
        scored: New outcomes, by session.
    """
    watched = connection.execute(select(instruments.c.symbol, instruments.c.group).where(instruments.c.active)).all()
    for subscription in subscriptions:
        covered = {row.symbol for row in watched if subscription.covers(row.symbol, row.group)}
        own = [each for each in scored if each.symbol in covered]
        if own:
            yield from _test(connection, subscription, own, thresholds(len(covered)))


def _test(
    connection: Connection, subscription: Subscription, scored: Sequence[ScoredForecast], limits: Thresholds
) -> Iterator[AlertEvent]:
    table = alert_coverage.c
    query = select(alert_coverage).where(table.subscription_id == subscription.id)
    stored = {row.symbol: row for row in connection.execute(query)}
    sums = {symbol: Sums(row.low, row.high) for symbol, row in stored.items()}
    counted = {symbol: row.last_session for symbol, row in stored.items()}
    changed: set[str] = set()
    for each in scored:
        if each.symbol in counted and each.target_session <= counted[each.symbol]:
            continue
        after = sums.get(each.symbol, Sums()).after(each.inside[LEVEL])
        is_low = after.low >= limits.low
        if is_low or after.high >= limits.high:
            yield _event(subscription, each, "low" if is_low else "high")
            after = Sums()
        sums[each.symbol], counted[each.symbol] = after, each.target_session
        changed.add(each.symbol)
    rows = [
        {
            "subscription_id": subscription.id, "symbol": symbol, "low": sums[symbol].low, "high": sums[symbol].high,
            "last_session": counted[symbol],
        }
        for symbol in sorted(changed)
    ]  # fmt: skip
    upsert(connection, alert_coverage, rows, ("low", "high", "last_session"))


def _event(subscription: Subscription, scored: ScoredForecast, side: str) -> AlertEvent:
    effect = "too narrow" if side == "low" else "too wide"
    return AlertEvent(
        AlertKind.COVERAGE_DRIFTED,
        f"{subscription.id}:{scored.symbol}:{scored.target_session}",
        f"{scored.symbol}: the coverage of its {LEVEL} % interval drifted by {scored.target_session}: it is {effect}",
        {"session": scored.target_session, "interval": LEVEL, "side": side},
        symbol=scored.symbol,
        calendar=scored.calendar,
        subscription_id=subscription.id,
    )
