"""A small database for the API's tests, written row by row with known figures."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import (
    bars,
    corporate_actions,
    editions,
    forecasts,
    instruments,
    market_clock,
    model_decisions,
    model_versions,
    run_outcomes,
    runs,
    served_forecasts,
    sessions,
    stamp,
    track_records,
)
from service.db.tables.forecasts import QUANTILE_NAMES
from tests.support.score_batches import add_scores

NOW = datetime(2018, 6, 2, 0, 0, tzinfo=UTC)
THURSDAY, FRIDAY = date(2018, 5, 31), date(2018, 6, 1)
MONDAY, TUESDAY, WEDNESDAY = date(2018, 6, 4), date(2018, 6, 5), date(2018, 6, 6)
LSTM, WALK, WALK_ONE, LSTM_ONE = 1, 2, 3, 4
"""Model versions: multi-step champion and walk, one-step champion (the walk) and challenger."""

SHAPE = (-0.06, -0.04, -0.02, 0.01, 0.02, 0.04, 0.06)
"""Quantiles of the LSTM at step 1; those of step k are k times as large."""

WALK_SHAPE = (-0.05, -0.03, -0.01, 0.0, 0.01, 0.03, 0.05)

MAY_WEEKDAYS = [
    date(2018, 5, 21) + timedelta(days=n) for n in range(30) if (date(2018, 5, 21) + timedelta(days=n)).weekday() < 5
]


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """Return an instant of a day, UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


@dataclass(frozen=True)
class Publish:
    """Write one edition with the forecasts of some symbols."""

    number: int
    as_of: date
    issued_at: datetime
    symbols: tuple[str, ...] = ("AAPL",)
    mode: str = "replay"
    revision: int = 1
    last_close: float = 100.0
    basis: int = 0
    calendar: str = "XNYS"
    targets: tuple[date, ...] = (MONDAY, TUESDAY, WEDNESDAY)
    degraded: tuple[str, ...] = ()
    served: dict[str, int] = field(default_factory=lambda: {"multi_step": LSTM, "one_step": WALK_ONE})


def add_stamp(connection: Connection, mode: str = "replay") -> None:
    connection.execute(
        insert(stamp).values(id=1, source="sample", clock_mode=mode, start_at=at(THURSDAY, 0), created_at=NOW)
    )
    connection.execute(insert(market_clock).values(id=1, now=NOW, record_end=date(2018, 12, 31)))
    raise_changes(connection, ())


def move_clock(database: Database, now: datetime) -> None:
    with database.transaction() as connection:
        connection.execute(update(market_clock).values(now=now))


def add_instrument(connection: Connection, symbol: str, **values: Any) -> None:
    row = {
        "symbol": symbol, "name": f"{symbol} Inc.", "instrument_type": "EQUITY", "group": "equity", "calendar": "XNYS",
        "currency": "USD", "active": True, "reference": False, "basis": 0, "state": "ok", "state_since": NOW,
        "added_at": at(THURSDAY, 0), "first_session": MAY_WEEKDAYS[0], "last_session": FRIDAY,
    }  # fmt: skip
    connection.execute(insert(instruments).values(**{**row, **values}))


def add_sessions(connection: Connection, calendar: str, days: Iterable[date], close_hour: int = 20) -> None:
    rows = [
        {"calendar": calendar, "session": day, "open_at": at(day, 13, 30), "close_at": at(day, close_hour),
         "state": "expected", "approximate": False}
        for day in days
    ]  # fmt: skip
    connection.execute(insert(sessions), rows)


def add_version(connection: Connection, version_id: int, forecaster: str, strategy: str, status: str) -> None:
    network = forecaster == "lstm"
    metrics = {"test_n": 500, "test_pinball": 38.5, "test_random_walk_pinball": 39.1, "test_skill": 0.0153}
    connection.execute(
        insert(model_versions).values(
            id=version_id, group="equity", strategy=strategy, forecaster=forecaster, lookback=5,
            horizon=3 if strategy == "multi_step" else 1, trained_at=at(THURSDAY, 0), recorded_at=NOW,
            train_first=date(2010, 1, 4), train_last=date(2017, 1, 3), data_hash="d", seeds=[0, 1, 2],
            specs={"units": 48}, config_hash=f"config-{version_id}", metrics=metrics if network else {},
            artifact=f"folder-{version_id}", sha256="s", status=status, reason="compared on the test span",
        )
    )  # fmt: skip


def publish(connection: Connection, edition: Publish) -> None:
    connection.execute(
        insert(editions).values(
            number=edition.number, mode=edition.mode, calendar=edition.calendar, as_of=edition.as_of,
            issued_at=edition.issued_at, recorded_at=NOW, previous_hash="0" * 64, hash=f"{edition.number:064d}",
        )
    )  # fmt: skip
    lanes = {LSTM: ("multi_step", 3, SHAPE), WALK: ("multi_step", 3, WALK_SHAPE), WALK_ONE: ("one_step", 1, WALK_SHAPE),
             LSTM_ONE: ("one_step", 1, SHAPE)}  # fmt: skip
    rows = [
        _forecast(edition, symbol, version, strategy, step, shape)
        for symbol in edition.symbols
        for version, (strategy, horizon, shape) in lanes.items()
        for step in range(1, horizon + 1)
    ]
    connection.execute(insert(forecasts), rows)
    items = [
        {"edition": edition.number, "symbol": symbol, "strategy": strategy, "model_version_id": version,
         "reason": f"version {version} is champion"}
        for symbol in edition.symbols
        for strategy, version in edition.served.items()
    ]  # fmt: skip
    connection.execute(insert(served_forecasts), items)
    raise_changes(connection, edition.symbols)


def _forecast(
    edition: Publish, symbol: str, version: int, strategy: str, step: int, shape: tuple[float, ...]
) -> dict[str, Any]:
    figures = [value * step for value in shape]
    return {
        "edition": edition.number, "symbol": symbol, "as_of": edition.as_of, "step": step,
        "target_session": edition.targets[step - 1], "strategy": strategy, "model_version_id": version,
        "revision": edition.revision, "basis": edition.basis, "last_close": edition.last_close, "sigma": 0.01,
        **{f"raw_{name}": value / 2 for name, value in zip(QUANTILE_NAMES, figures, strict=True)},
        **dict(zip(QUANTILE_NAMES, figures, strict=True)), "degraded": list(edition.degraded) or None,
    }  # fmt: skip


def add_action(connection: Connection, symbol: str, ex_date: date, kind: str, value: float, **values: Any) -> None:
    row = {"symbol": symbol, "ex_date": ex_date, "kind": kind, "value": value, "fetched_at": at(THURSDAY, 12)}
    connection.execute(insert(corporate_actions).values(**{**row, **values}))


def add_bars(connection: Connection, symbol: str, closes: dict[date, float]) -> None:
    rows = [
        {"symbol": symbol, "session": day, "open": close, "high": close + 1, "low": close - 1, "close": close,
         "volume": 1000.0, "source": "sample", "fetched_at": NOW, "revision": 0}
        for day, close in closes.items()
    ]  # fmt: skip
    connection.execute(insert(bars), rows)


def add_record(connection: Connection, scope: str, strategy: str, step: int, **values: Any) -> None:
    row = {
        "scope_kind": "symbol", "scope": scope, "strategy": strategy, "step": step, "forecaster": "served",
        "mode": "replay", "as_of": FRIDAY, "n": 100, "pinball": 0.0027, "random_walk_pinball": 0.003, "skill": 0.1,
        "coverage_50": 0.5, "coverage_80": 0.8, "coverage_95": 0.95, "mae": 0.01, "p": 0.04,
    }  # fmt: skip
    connection.execute(insert(track_records).values(**{**row, **values}))


def add_score(connection: Connection, edition: int, version: int, step: int, **values: Any) -> None:
    found = select(forecasts.c.id).where(
        forecasts.c.edition == edition, forecasts.c.model_version_id == version, forecasts.c.step == step
    )
    row = {
        "forecast_id": connection.execute(found).scalar_one(), "revision": 1, "state": "scored", "actual": 0.005,
        "pinball": 0.002, "error": -0.005, "inside_50": True, "inside_80": True, "inside_95": True, "scored_at": NOW,
        "recorded_at": NOW,
    }  # fmt: skip
    add_scores(connection, [{**row, **values}], NOW)


def add_run(connection: Connection, run_id: int, job: str, outcomes: dict[str, tuple[str, str | None]]) -> None:
    connection.execute(
        insert(runs).values(
            id=run_id, job=job, scope="XNYS", scheduled_for=at(FRIDAY, 21, 30), sequence=run_id, session=FRIDAY,
            state="done", attempt=1, token=1, counts={"issued": len(outcomes)},
        )
    )  # fmt: skip
    rows = [{"run_id": run_id, "symbol": s, "state": state, "reason": why} for s, (state, why) in outcomes.items()]
    if rows:
        connection.execute(insert(run_outcomes), rows)


def fill(database: Database) -> None:
    """Write forecasts of AAPL as of Thursday and Friday, of IBM and BTC-USD as of Friday; MSFT has too few bars."""
    with database.transaction() as connection:
        add_stamp(connection)
        for symbol in ("AAPL", "IBM", "MSFT"):
            add_instrument(connection, symbol)
        add_instrument(connection, "SPY", active=False, reference=True)
        add_instrument(connection, "BTC-USD", calendar="24/7", group="crypto", instrument_type="CRYPTOCURRENCY")
        add_sessions(connection, "XNYS", MAY_WEEKDAYS)
        add_sessions(connection, "24/7", [date(2018, 5, 21) + timedelta(days=n) for n in range(30)], close_hour=23)
        for version_id, forecaster, strategy, status in (
            (LSTM, "lstm", "multi_step", "champion"), (WALK, "random_walk", "multi_step", "retired"),
            (WALK_ONE, "random_walk", "one_step", "champion"), (LSTM_ONE, "lstm", "one_step", "challenger"),
        ):  # fmt: skip
            add_version(connection, version_id, forecaster, strategy, status)
        connection.execute(
            insert(model_decisions).values(
                model_version_id=LSTM, decided_at=at(THURSDAY, 1), recorded_at=NOW, status="champion",
                reason="beats the walk", figures={"p": 0.01},
            )
        )  # fmt: skip
        publish(
            connection, Publish(1, THURSDAY, at(THURSDAY, 21, 40), targets=(FRIDAY, MONDAY, TUESDAY), last_close=99.0)
        )
        publish(connection, Publish(2, FRIDAY, at(FRIDAY, 21, 40), symbols=("AAPL", "IBM")))
        weekend = (date(2018, 6, 2), date(2018, 6, 3), MONDAY)
        publish(connection, Publish(3, FRIDAY, at(FRIDAY, 23, 59), ("BTC-USD",), calendar="24/7", targets=weekend))
        for step in (1, 2, 3):
            add_record(connection, "AAPL", "multi_step", step)
        add_record(connection, "AAPL", "one_step", 1, n=30, skill=None)
        add_run(connection, 1, "forecast", {"AAPL": ("issued", None), "MSFT": ("issued", "an older reason")})
        add_run(connection, 2, "pull", {"MSFT": ("ok", "no forecast run")})
        add_run(connection, 3, "forecast", {"MSFT": ("skipped", "MSFT has 41 of the 60 bars the random walk needs")})
        add_bars(connection, "AAPL", {THURSDAY: 99.0, FRIDAY: 100.0})
