"""Closes outside their interval, from a score batch.

Looked at is the newest forecast of each session: one step, as served, of the last edition. A backfill never alerts.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, and_, select

from service.alerts.outbox import AlertEvent
from service.db.tables import editions, forecasts, served_forecasts
from service.vocabulary import AlertKind, Mode

_AT_ONCE = 500
_BOUNDS = {50: ("q25", "q75"), 80: ("q10", "q90"), 95: ("q025", "q975")}


@dataclass(frozen=True, slots=True)
class ScoredForecast:
    """A served one-step forecast with its outcome.

    Attributes:
        symbol: Yahoo-style name.
        calendar: The calendar of its edition.
        as_of: The newest session it used.
        target_session: The session that it forecast.
        edition: Its edition.
        last_close: as_of's close.
        actual: Log return of the adjusted close.
        inside: Whether the close is inside, by interval in percent.
        bounds: Lower and upper bound by interval, log returns.
    """

    symbol: str
    calendar: str
    as_of: date
    target_session: date
    edition: int
    last_close: float
    actual: float
    inside: dict[int, bool]
    bounds: dict[int, tuple[float, float]]


def read_scored(connection: Connection, scores: Sequence[dict[str, Any]]) -> list[ScoredForecast]:
    """Return the newest served one-step forecast of each symbol and session, by session and symbol.

    Args:
        connection: The score job's write transaction.
        scores: New rows of the scores table.
    """
    by_id = {row["forecast_id"]: row for row in scores if row["actual"] is not None}
    ids = sorted(by_id)
    newest: dict[tuple[str, date], ScoredForecast] = {}
    for start in range(0, len(ids), _AT_ONCE):
        for row in connection.execute(_query(ids[start : start + _AT_ONCE])):
            found = _scored(row, by_id[row.id])
            key = (found.symbol, found.target_session)
            if key not in newest or newest[key].edition < found.edition:
                newest[key] = found
    return sorted(newest.values(), key=lambda each: (each.target_session, each.symbol))


def interval_events(scored: Sequence[ScoredForecast]) -> Iterator[AlertEvent]:
    """Yield an event for each interval that a close left."""
    for each in scored:
        for level, (low, high) in each.bounds.items():
            if each.inside[level]:
                continue
            side = "below" if each.actual < low else "above"
            low_price, high_price, price = (each.last_close * math.exp(value) for value in (low, high, each.actual))
            yield AlertEvent(
                AlertKind.CLOSE_LEFT_INTERVAL,
                f"{each.symbol}:{each.target_session}:{level}",
                f"{each.symbol} closed at {price:.4g} on {each.target_session}, {side} its {level} % interval "
                f"{low_price:.4g} to {high_price:.4g} (dividends added to the close)",
                {
                    "session": each.target_session,
                    "as_of": each.as_of,
                    "edition": each.edition,
                    "interval": level,
                    "side": side,
                    "actual_return": each.actual,
                    "lower_return": low,
                    "upper_return": high,
                },
                symbol=each.symbol,
                calendar=each.calendar,
                interval=level,
            )


def _query(ids: Sequence[int]) -> Any:
    served = and_(
        served_forecasts.c.edition == forecasts.c.edition,
        served_forecasts.c.symbol == forecasts.c.symbol,
        served_forecasts.c.strategy == forecasts.c.strategy,
        served_forecasts.c.model_version_id == forecasts.c.model_version_id,
    )
    names = [name for bounds in _BOUNDS.values() for name in bounds]
    return (
        select(
            forecasts.c.id, forecasts.c.symbol, forecasts.c.as_of, forecasts.c.target_session, forecasts.c.edition,
            forecasts.c.last_close, editions.c.calendar, *(forecasts.c[name] for name in names),
        )
        .join(editions, editions.c.number == forecasts.c.edition)
        .join(served_forecasts, served)
        .where(
            forecasts.c.id.in_(ids), forecasts.c.step == 1, forecasts.c.strategy == "one_step",
            editions.c.mode != Mode.BACKFILL,
        )
    )  # fmt: skip


def _scored(row: Any, score: dict[str, Any]) -> ScoredForecast:
    return ScoredForecast(
        row.symbol,
        row.calendar,
        row.as_of,
        row.target_session,
        row.edition,
        row.last_close,
        score["actual"],
        {level: bool(score[f"inside_{level}"]) for level in _BOUNDS},
        {level: (getattr(row, low), getattr(row, high)) for level, (low, high) in _BOUNDS.items()},
    )
