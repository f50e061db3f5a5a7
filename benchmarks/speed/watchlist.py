"""Latency of the watchlist and of the status with 5,000 symbols, over real HTTP on loopback.

Run from the repository root: `python -m benchmarks.speed.watchlist [POSTGRESQL_URL]`, the URL that of an empty
database, which is used instead of a new SQLite file. Prints `name value unit bar`, and exits with 1 if a bar is
missed. Requests come one after another: `cold` is the first page of a new process, `warm` a page of one that holds
the table, `one_altered` and `all_altered` the first page after that many symbols have.
"""

import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
from sqlalchemy import insert

from benchmarks.speed.api import megabytes, running, say
from service.db.change_counters import raise_changes
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import (
    editions,
    forecasts,
    instruments,
    market_clock,
    model_versions,
    served_forecasts,
    sessions,
    stamp,
    track_records,
)
from service.db.tables.forecasts import QUANTILE_NAMES

SYMBOLS = 5_000
EDITIONS = 5
AS_OF = date(2018, 12, 1)
_NOW = datetime(2018, 12, 2, 2, tzinfo=UTC)
_NAMES = tuple(f"S{n:04d}" for n in range(SYMBOLS))
_BAR_WARM = 150.0
_BAR_RSS = 200.0
_REQUESTS = 50
_PAGES = {
    "by_symbol": "/v1/watchlist",
    "by_change": "/v1/watchlist?sort=change&order=desc&limit=200",
    "searched": "/v1/watchlist?q=99&sort=skill",
}


def fill(database: Database) -> None:
    """Add 5,000 symbols of a 24/7 calendar with a few editions of two forecasters and a track record each."""
    upgrade(database)
    with database.transaction() as connection:
        rows = {
            "instrument_type": "EQUITY", "group": "equity", "calendar": "24/7", "currency": "USD", "active": True,
            "reference": False, "basis": 0, "state": "ok", "state_since": _NOW, "added_at": _NOW,
        }  # fmt: skip
        head = {"id": 1, "source": "sample", "clock_mode": "replay", "start_at": _NOW, "created_at": _NOW}
        connection.execute(insert(stamp).values(head))
        connection.execute(insert(market_clock).values(id=1, now=_NOW, record_end=AS_OF))
        connection.execute(
            insert(instruments), [{"symbol": name, "name": f"Company {name}", **rows} for name in _NAMES]
        )
        days = [AS_OF + timedelta(days=n) for n in range(-EDITIONS, 10)]
        connection.execute(insert(sessions), [_session(day) for day in days])
        connection.execute(insert(model_versions), [_version(1, "lstm"), _version(2, "random_walk")])
        connection.execute(insert(track_records), [_record(name, step) for name in _NAMES for step in (1, 2, 3)])
    for number in range(1, EDITIONS + 1):
        publish(database, number, AS_OF - timedelta(days=EDITIONS - number))


def publish(database: Database, number: int, as_of: date, revision: int = 1) -> None:
    """Publish an edition of all symbols."""
    issued = datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC) + timedelta(hours=25)
    edition = {
        "number": number, "mode": "replay", "calendar": "24/7", "as_of": as_of, "issued_at": issued,
        "recorded_at": _NOW, "previous_hash": "0" * 64, "hash": f"{number:064d}",
    }  # fmt: skip
    served = {"edition": number, "strategy": "multi_step", "model_version_id": 1, "reason": "champion"}
    with database.transaction() as connection:
        connection.execute(insert(editions).values(edition))
        connection.execute(
            insert(forecasts),
            [
                _forecast(number, as_of, revision, place, version, step)
                for place in range(SYMBOLS)
                for version in (1, 2)
                for step in (1, 2, 3)
            ],
        )
        connection.execute(insert(served_forecasts), [{"symbol": name, **served} for name in _NAMES])
        raise_changes(connection, _NAMES)


def _forecast(number: int, as_of: date, revision: int, place: int, version: int, step: int) -> dict[str, Any]:
    shape = [(quantile - 3) * 0.01 * (1 + place % 7) + place * 1e-6 for quantile in range(7)]
    figures = dict(zip(QUANTILE_NAMES, shape, strict=True))
    return {
        "edition": number, "symbol": _NAMES[place], "as_of": as_of, "step": step, "strategy": "multi_step",
        "target_session": as_of + timedelta(days=step), "model_version_id": version, "revision": revision, "basis": 0,
        "last_close": 10.0 + place, "sigma": 0.01, **figures, **{f"raw_{name}": x for name, x in figures.items()},
    }  # fmt: skip


def _session(day: date) -> dict[str, Any]:
    open_at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {
        "calendar": "24/7", "session": day, "open_at": open_at, "close_at": open_at + timedelta(days=1),
        "state": "expected", "approximate": False,
    }  # fmt: skip


def _version(number: int, forecaster: str) -> dict[str, Any]:
    return {
        "id": number, "group": "equity", "strategy": "multi_step", "forecaster": forecaster, "lookback": 5,
        "horizon": 3, "trained_at": _NOW, "recorded_at": _NOW, "data_hash": "d", "seeds": [0], "specs": {},
        "config_hash": "r", "metrics": {}, "artifact": "a", "sha256": "s", "reason": "measured",
        "status": "champion" if number == 1 else "challenger",
    }  # fmt: skip


def _record(symbol: str, step: int) -> dict[str, Any]:
    return {
        "scope_kind": "symbol", "scope": symbol, "strategy": "multi_step", "step": step, "forecaster": "served",
        "mode": "replay", "as_of": AS_OF, "n": 60, "pinball": 0.003 + int(symbol[1:]) * 1e-8,
        "random_walk_pinball": 0.0031, "skill": 0.03, "coverage_50": 0.5, "coverage_80": 0.8, "coverage_95": 0.95,
        "mae": 0.01,
    }  # fmt: skip


def milliseconds(call: Callable[[], httpx.Response]) -> float:
    """Return the duration of one request."""
    begin = perf_counter()
    call().raise_for_status()
    return (perf_counter() - begin) * 1000


def measure(url: str, database: Database) -> list[bool]:
    """Measure all figures on a filled database; return whether each meets its bar."""
    kept = []
    with running(url) as (client, process, _seconds):
        say("watchlist_cold", milliseconds(lambda: client.get(_PAGES["by_symbol"])), "ms", None)
        for name, path in _PAGES.items():
            milliseconds(lambda path=path: client.get(path))  # type: ignore[misc]
            took = [milliseconds(lambda path=path: client.get(path)) for _ in range(_REQUESTS)]  # type: ignore[misc]
            kept.append(say(f"watchlist_warm_{name}", statistics.median(took), "ms", _BAR_WARM))
        with database.transaction() as connection:
            raise_changes(connection, _NAMES[:1])
        say("watchlist_one_altered", milliseconds(lambda: client.get(_PAGES["by_symbol"])), "ms", None)
        publish(database, EDITIONS + 1, AS_OF, revision=2)
        say("watchlist_all_altered", milliseconds(lambda: client.get(_PAGES["by_symbol"])), "ms", None)
        took = [milliseconds(lambda: client.get("/v1/status")) for _ in range(_REQUESTS)]
        kept.append(say("status_warm", statistics.median(took), "ms", _BAR_WARM))
        kept.append(say("watchlist_rss", megabytes(process), "MB", _BAR_RSS))
    return kept


def main(arguments: Sequence[str]) -> int:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        url = arguments[0] if arguments else f"sqlite:///{Path(folder) / 'filled.db'}"
        database = Database(url)
        fill(database)
        kept = measure(url, database)
        database.close()
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
