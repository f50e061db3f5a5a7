"""Fill a database for the API's speed figures; every day is a session of a 24/7 calendar."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert

from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import (
    bars,
    change_counters,
    corporate_actions,
    editions,
    forecasts,
    instruments,
    market_clock,
    model_versions,
    run_outcomes,
    runs,
    score_batches,
    scores,
    served_forecasts,
    sessions,
    stamp,
    track_records,
)
from service.db.tables.forecasts import QUANTILE_NAMES

SYMBOLS = 200
EDITIONS = 60
BARS = 2_500
AS_OF = date(2018, 12, 1)
_NOW = datetime(2018, 12, 2, 2, tzinfo=UTC)
_LANES = ((1, "multi_step", 3), (2, "multi_step", 3), (3, "one_step", 1), (4, "one_step", 1))
_SHAPE = (-0.06, -0.04, -0.02, 0.001, 0.02, 0.04, 0.06)
_NETWORKS = {1: "lstm", 2: "random_walk", 3: "lstm", 4: "random_walk"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much a database holds.

    Attributes:
        symbols: Instruments on the watchlist, `S000` and up.
        editions: Editions, of consecutive days up to `AS_OF`, each with a score batch.
        bars: Bars of each of the first symbols.
        with_bars: How many symbols have bars.
    """

    symbols: int = SYMBOLS
    editions: int = EDITIONS
    bars: int = BARS
    with_bars: int = 5

    @property
    def names(self) -> tuple[str, ...]:
        """Return the symbols."""
        return tuple(f"S{n:03d}" for n in range(self.symbols))


def fill(path: Path) -> None:
    """Create an SQLite file: instruments, ten years of bars of a few symbols, two months of forecasts and scores."""
    database = Database(f"sqlite:///{path}")
    fill_database(database, Size())
    database.close()


def fill_database(database: Database, size: Size) -> None:
    """Create the tables in an empty database and fill them."""
    upgrade(database)
    with database.transaction() as connection:
        _control(connection, size)
        _prices(connection, size)
        _models(connection, size)
    for number in range(1, size.editions + 1):
        with database.transaction() as connection:
            _edition(connection, size, number, AS_OF - timedelta(days=size.editions - number))
    with database.transaction() as connection:
        _records(connection, size)


def _put(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    connection.execute(insert(table), rows)


def _instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _control(connection: Connection, size: Size) -> None:
    _put(
        connection, stamp, [{"id": 1, "source": "sample", "clock_mode": "replay", "start_at": _NOW, "created_at": _NOW}]
    )
    _put(connection, market_clock, [{"id": 1, "now": _NOW, "record_end": AS_OF}])
    _put(connection, change_counters, [{"scope": "", "counter": 1}])
    instrument = {
        "instrument_type": "EQUITY", "group": "equity", "calendar": "24/7", "currency": "USD", "active": True,
        "reference": False, "basis": 0, "state": "ok", "state_since": _NOW, "added_at": _NOW,
    }  # fmt: skip
    _put(connection, instruments, [{"symbol": symbol, "name": symbol, **instrument} for symbol in size.names])
    days = [AS_OF - timedelta(days=size.bars - 1 - n) for n in range(size.bars + 10)]
    _put(connection, sessions, [
        {"calendar": "24/7", "session": day, "open_at": _instant(day), "close_at": _instant(day) + timedelta(days=1),
         "state": "expected", "approximate": False}
        for day in days
    ])  # fmt: skip


def _prices(connection: Connection, size: Size) -> None:
    days = [AS_OF - timedelta(days=size.bars - 1 - n) for n in range(size.bars)]
    for symbol in size.names[: size.with_bars]:
        _put(connection, bars, [
            {"symbol": symbol, "session": day, "open": 10.0, "high": 11.0, "low": 9.0, "close": 10.0, "volume": 1e6,
             "source": "sample", "fetched_at": _NOW, "revision": 0}
            for day in days
        ])  # fmt: skip
        _put(connection, corporate_actions, [
            {"symbol": symbol, "ex_date": day, "kind": "dividend", "value": 0.05, "fetched_at": _NOW}
            for day in days[90::90]
        ])  # fmt: skip


def _models(connection: Connection, size: Size) -> None:
    _put(connection, model_versions, [
        {"id": version, "group": "equity", "strategy": strategy, "forecaster": _NETWORKS[version], "lookback": 5,
         "horizon": horizon, "trained_at": _NOW, "recorded_at": _NOW, "data_hash": "d", "seeds": [0], "specs": {},
         "config_hash": "r", "metrics": {}, "artifact": "a", "sha256": "s", "reason": "measured",
         "status": "champion" if version in (1, 3) else "challenger"}
        for version, strategy, horizon in _LANES
    ])  # fmt: skip
    _put(connection, runs, [
        {"id": run, "job": "forecast", "scope": "24/7", "scheduled_for": _NOW, "sequence": run, "state": "done",
         "attempt": 1, "token": 1, "counts": {}}
        for run in range(1, 201)
    ])  # fmt: skip
    _put(connection, run_outcomes, [{"run_id": 1, "symbol": symbol, "state": "issued"} for symbol in size.names])


def _edition(connection: Connection, size: Size, number: int, as_of: date) -> None:
    issued = _instant(as_of) + timedelta(hours=25)
    _put(connection, editions, [
        {"number": number, "mode": "replay", "calendar": "24/7", "as_of": as_of, "issued_at": issued,
         "recorded_at": _NOW, "previous_hash": "0" * 64, "hash": f"{number:064d}"}
    ])  # fmt: skip
    figures = {
        f"{prefix}{name}": value for prefix in ("", "raw_") for name, value in zip(QUANTILE_NAMES, _SHAPE, strict=True)
    }
    rows = [
        {"edition": number, "symbol": symbol, "as_of": as_of, "step": step, "strategy": strategy,
         "target_session": as_of + timedelta(days=step), "model_version_id": version, "revision": 1, "basis": 0,
         "last_close": 10.0, "sigma": 0.01, **figures}
        for symbol in size.names
        for version, strategy, horizon in _LANES
        for step in range(1, horizon + 1)
    ]  # fmt: skip
    first = (number - 1) * len(rows) + 1
    _put(connection, forecasts, [{"id": first + place, **row} for place, row in enumerate(rows)])
    _put(connection, served_forecasts, [
        {"edition": number, "symbol": symbol, "strategy": strategy, "model_version_id": version, "reason": "champion"}
        for symbol in size.names
        for version, strategy, _horizon in _LANES
        if version in (1, 3)
    ])  # fmt: skip
    _put(connection, score_batches, [
        {"number": number, "calendar": "24/7", "scored_at": _NOW, "recorded_at": _NOW, "previous_hash": "0" * 64,
         "hash": f"{number:064d}"}
    ])  # fmt: skip
    _put(connection, scores, [
        {"batch": number, "forecast_id": first + place, "revision": 1, "state": "scored", "actual": 0.01,
         "pinball": 0.003, "error": 0.01, "inside_50": True, "inside_80": True, "inside_95": True, "scored_at": _NOW,
         "recorded_at": _NOW}
        for place in range(len(rows))
    ])  # fmt: skip


def _records(connection: Connection, size: Size) -> None:
    figures = {
        "scope_kind": "symbol", "mode": "replay", "as_of": AS_OF, "n": 60, "pinball": 0.003,
        "random_walk_pinball": 0.0031, "skill": 0.03, "coverage_50": 0.5, "coverage_80": 0.8, "coverage_95": 0.95,
        "mae": 0.01,
    }  # fmt: skip
    _put(connection, track_records, [
        {"scope": symbol, "strategy": strategy, "step": step, "forecaster": forecaster, **figures}
        for symbol in size.names
        for strategy, steps in (("multi_step", (1, 2, 3)), ("one_step", (1,)))
        for step in steps
        for forecaster in ("served", "lstm", "random_walk")
    ])  # fmt: skip
