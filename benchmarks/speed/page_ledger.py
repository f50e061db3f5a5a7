"""Fill an SQLite database for the page: seeded random walks on a 24/7 calendar, some weeks of scored forecasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, insert

from models.preprocessing.price_history import FloatArray
from service.db.change_counters import raise_changes
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import (
    bars,
    editions,
    forecasts,
    instruments,
    market_clock,
    model_versions,
    runs,
    score_batches,
    scores,
    served_forecasts,
    sessions,
    stamp,
    track_records,
)
from service.db.tables.forecasts import QUANTILE_NAMES

AS_OF = date(2018, 12, 1)
_NOW = datetime(2018, 12, 2, 2, tzinfo=UTC)
_SIGMA = 0.015
_NORMAL = np.array([-1.96, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.96])
_PRICES = ("open", "high", "low", "close")
_LANES = ((1, "multi_step", 3, 0.9), (2, "multi_step", 3, 1.0), (3, "one_step", 1, 0.9), (4, "one_step", 1, 1.0))
"""Version, strategy, steps, and the width of its intervals relative to the walk's own sigma."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of the database.

    Attributes:
        symbols: Symbols on the watchlist, each forecast in every edition.
        editions: Consecutive forecast days; the last is AS_OF.
        bars: Days with bars.
        drawn: Symbols that have bars, the first ones.
    """

    symbols: int = 50
    editions: int = 70
    bars: int = 400
    drawn: int = 50


def names(size: Size) -> tuple[str, ...]:
    """Return the symbols, in order."""
    return tuple(f"S{n:04d}" for n in range(size.symbols))


def fill(path: Path, size: Size) -> None:
    """Create the database."""
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    with database.transaction() as connection:
        _control(connection, size)
        closes = _prices(connection, size)
        for number in range(1, size.editions + 1):
            _edition(connection, size, number, closes)
        _records(connection, size)
        raise_changes(connection, names(size))
    database.close()


def _put(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _control(connection: Connection, size: Size) -> None:
    first = AS_OF - timedelta(days=size.bars - 1)
    started = {"id": 1, "source": "sample", "clock_mode": "replay", "start_at": _NOW, "created_at": _NOW}
    _put(connection, stamp, [started])
    _put(connection, market_clock, [{"id": 1, "now": _NOW, "record_end": AS_OF + timedelta(days=30)}])
    plain = {
        "instrument_type": "CRYPTOCURRENCY", "group": "crypto", "calendar": "24/7", "currency": "USD", "active": True,
        "reference": False, "basis": 0, "state": "ok", "state_since": _NOW, "added_at": _NOW, "first_session": first,
        "last_session": AS_OF,
    }  # fmt: skip
    _put(connection, instruments, [{"symbol": symbol, "name": f"Company {symbol}", **plain} for symbol in names(size)])
    _put(connection, sessions, [
        {"calendar": "24/7", "session": day, "open_at": _instant(day), "close_at": _instant(day) + timedelta(days=1),
         "state": "expected", "approximate": False}
        for day in (first + timedelta(days=n) for n in range(size.bars + 10))
    ])  # fmt: skip
    _put(connection, model_versions, [
        {"id": version, "group": "crypto", "strategy": strategy, "forecaster": "lstm" if width < 1 else "random_walk",
         "lookback": 5, "horizon": steps, "trained_at": _NOW, "recorded_at": _NOW, "data_hash": "d", "seeds": [0],
         "specs": {}, "config_hash": "r", "metrics": {}, "artifact": "a", "sha256": "s", "reason": "measured",
         "status": "champion" if width < 1 else "challenger"}
        for version, strategy, steps, width in _LANES
    ])  # fmt: skip
    _put(connection, runs, [
        {"id": run, "job": "forecast", "scope": "24/7", "scheduled_for": _NOW, "sequence": run, "state": "done",
         "session": AS_OF, "attempt": 1, "token": 1, "counts": {"forecast": size.symbols}, "started_at": _NOW,
         "finished_at": _NOW + timedelta(seconds=1)}
        for run in range(1, 61)
    ])  # fmt: skip


def _prices(connection: Connection, size: Size) -> FloatArray:
    """Add bars and return the `(symbols, days)` closes; the last day is AS_OF."""
    random = np.random.default_rng(1)
    moves = random.normal(0, _SIGMA, (size.symbols, size.bars))
    closes: FloatArray = 50 * np.exp(np.cumsum(moves, axis=1))
    first = AS_OF - timedelta(days=size.bars - 1)
    for row, symbol in enumerate(names(size)[: size.drawn]):
        opened = closes[row] * np.exp(random.normal(0, 0.005, size.bars))
        highest, lowest = np.maximum(opened, closes[row]) * 1.004, np.minimum(opened, closes[row]) * 0.996
        figures = zip(opened.tolist(), highest.tolist(), lowest.tolist(), closes[row].tolist(), strict=True)
        plain = {"symbol": symbol, "volume": 1e6, "source": "sample", "fetched_at": _NOW, "revision": 0}
        _put(connection, bars, [
            {**plain, "session": first + timedelta(days=n), **dict(zip(_PRICES, prices, strict=True))}
            for n, prices in enumerate(figures)
        ])  # fmt: skip
    return closes


def _edition(connection: Connection, size: Size, number: int, closes: FloatArray) -> None:
    back = size.editions - number
    as_of = AS_OF - timedelta(days=back)
    at = size.bars - 1 - back
    _put(connection, editions, [
        {"number": number, "mode": "replay", "calendar": "24/7", "as_of": as_of,
         "issued_at": _instant(as_of) + timedelta(hours=25), "recorded_at": _NOW, "previous_hash": "0" * 64,
         "hash": f"{number:064d}"}
    ])  # fmt: skip
    rows, outcomes = [], []
    identity = (number - 1) * size.symbols * sum(steps for _, _, steps, _ in _LANES)
    for place, symbol in enumerate(names(size)):
        for version, strategy, steps, width in _LANES:
            for step in range(1, steps + 1):
                identity += 1
                quantiles = (_NORMAL * _SIGMA * width * step**0.5).tolist()
                rows.append(_forecast(number, symbol, (version, strategy, step), quantiles, float(closes[place, at])))
                if at + step < size.bars:
                    moved = float(np.log(closes[place, at + step] / closes[place, at]))
                    outcomes.append(_score(identity, moved, quantiles))
    first = (number - 1) * len(rows) + 1
    _put(connection, forecasts, [{"id": first + place, "as_of": as_of, **row} for place, row in enumerate(
        {**row, "target_session": as_of + timedelta(days=row["step"])} for row in rows)])  # fmt: skip
    _put(connection, score_batches, [
        {"number": number, "calendar": "24/7", "scored_at": _NOW, "recorded_at": _NOW, "previous_hash": "0" * 64,
         "hash": f"{number:064d}"}
    ])  # fmt: skip
    _put(connection, scores, [{"batch": number, **outcome} for outcome in outcomes])
    _put(connection, served_forecasts, [
        {"edition": number, "symbol": symbol, "strategy": strategy, "model_version_id": version, "reason": "champion"}
        for symbol in names(size)
        for version, strategy, _steps, width in _LANES
        if width < 1
    ])  # fmt: skip


def _forecast(
    number: int, symbol: str, lane: tuple[int, str, int], quantiles: list[float], close: float
) -> dict[str, Any]:
    version, strategy, step = lane
    figures = {
        f"{prefix}{name}": value
        for prefix in ("", "raw_")
        for name, value in zip(QUANTILE_NAMES, quantiles, strict=True)
    }
    return {
        "edition": number, "symbol": symbol, "step": step, "strategy": strategy, "model_version_id": version,
        "revision": 1, "basis": 0, "last_close": close, "sigma": _SIGMA, **figures,
    }  # fmt: skip


def _score(forecast: int, moved: float, quantiles: list[float]) -> dict[str, Any]:
    inside = {f"inside_{level}": quantiles[low] <= moved <= quantiles[6 - low] for level, low in _LEVELS}
    return {
        "forecast_id": forecast, "revision": 1, "state": "scored", "actual": moved, "pinball": 0.003, "error": moved,
        "scored_at": _NOW, "recorded_at": _NOW, **inside,
    }  # fmt: skip


_LEVELS = ((50, 2), (80, 1), (95, 0))


def _records(connection: Connection, size: Size) -> None:
    figures = {
        "scope_kind": "symbol", "mode": "replay", "as_of": AS_OF, "n": 60, "pinball": 0.003,
        "random_walk_pinball": 0.0031, "skill": 0.03, "coverage_50": 0.5, "coverage_80": 0.8, "coverage_95": 0.95,
        "mae": 0.01, "p": 0.04,
    }  # fmt: skip
    _put(connection, track_records, [
        {"scope": symbol, "strategy": strategy, "step": step, "forecaster": forecaster, **figures}
        for symbol in names(size)
        for _version, strategy, steps, width in _LANES
        if width < 1
        for step in range(1, steps + 1)
        for forecaster in ("served", "lstm", "random_walk")
    ])  # fmt: skip
