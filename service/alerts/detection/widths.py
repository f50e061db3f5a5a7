"""Intervals that became much wider, from a published edition against the symbol's recent ones."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, and_, select

from service.alerts.outbox import AlertEvent
from service.db.tables import editions, forecasts, served_forecasts
from service.vocabulary import AlertKind, Mode

RATIO = 1.5
"""A width that is at least this many times the median of the recent ones has jumped."""
RECENT = 20
"""Earlier forecasts that a width is compared with."""
MINIMUM = 10
"""Earlier forecasts below which nothing is compared."""

_REACH = timedelta(days=45)
"""How far back the recent ones are looked for: 20 sessions with a week of holidays, and no more rows than needed."""

_AT_ONCE = 500


def width_events(
    connection: Connection, mode: str, calendar: str, number: int, widths: Mapping[str, tuple[date, float]]
) -> Iterator[AlertEvent]:
    """Yield an event for each symbol whose width jumped now, and had not at its forecast before.

    Args:
        connection: The publishing transaction, with the edition in it.
        mode: The edition's mode: only editions of the same mode are compared.
        calendar: The edition's calendar.
        number: The edition.
        widths: By symbol the as_of and the width of the served one-step 80 % interval, log return.
    """
    earlier = _earlier(connection, mode, widths)
    for symbol, (as_of, width) in sorted(widths.items()):
        before = earlier.get(symbol, [])
        usual = _usual(before)
        if usual is None or width < RATIO * usual:
            continue
        usual_before = _usual(before[:-1])
        if usual_before is not None and before[-1] >= RATIO * usual_before:
            continue  # it jumped earlier, and is wide since then
        yield AlertEvent(
            AlertKind.WIDTH_JUMPED,
            f"{symbol}:{as_of}",
            f"{symbol}: the 80 % interval from {as_of} is {width:.2%} wide, {width / usual:.1f} times the median of "
            f"its last {min(len(before), RECENT)} forecasts",
            {"as_of": as_of, "edition": number, "width": width, "median_width": usual, "ratio": width / usual},
            symbol=symbol,
            calendar=calendar,
        )


def _usual(widths: Sequence[float]) -> float | None:
    """Return the median of the newest widths, None for too few."""
    recent = widths[-RECENT:]
    usual = median(recent) if len(recent) >= MINIMUM else 0.0
    return usual if usual > 0 else None


def _earlier(connection: Connection, mode: str, widths: Mapping[str, tuple[date, float]]) -> dict[str, list[float]]:
    """Return the widths of earlier forecasts by symbol, oldest first, the last edition of each as_of."""
    found: dict[str, dict[date, float]] = defaultdict(dict)
    symbols = sorted(widths)
    for start in range(0, len(symbols), _AT_ONCE):
        part = symbols[start : start + _AT_ONCE]
        newest = max(widths[symbol][0] for symbol in part)
        for row in connection.execute(_query(mode, part, newest)):
            if row.as_of < widths[row.symbol][0]:
                found[row.symbol][row.as_of] = row.q90 - row.q10  # a later edition of the same as_of replaces it
    return {symbol: [width for _, width in sorted(own.items())] for symbol, own in found.items()}


def _query(mode: str, symbols: Sequence[str], newest: date) -> Any:
    if mode == Mode.BACKFILL:
        raise ValueError("a backfill never alerts")
    served = and_(
        served_forecasts.c.edition == forecasts.c.edition,
        served_forecasts.c.symbol == forecasts.c.symbol,
        served_forecasts.c.strategy == forecasts.c.strategy,
        served_forecasts.c.model_version_id == forecasts.c.model_version_id,
    )
    return (
        select(forecasts.c.symbol, forecasts.c.as_of, forecasts.c.q10, forecasts.c.q90)
        .join(editions, editions.c.number == forecasts.c.edition)
        .join(served_forecasts, served)
        .where(
            forecasts.c.symbol.in_(symbols),
            forecasts.c.as_of.between(newest - _REACH, newest),
            forecasts.c.step == 1,
            forecasts.c.strategy == "one_step",
            editions.c.mode == mode,
        )
        .order_by(forecasts.c.edition)
    )
