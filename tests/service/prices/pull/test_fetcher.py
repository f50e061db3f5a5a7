"""The pull with a real database: first pulls, later pulls and failures."""

import threading
from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.contextvars import bound_contextvars, get_contextvars

from service.db.tables import bars, change_counters, instruments, quarantine, sessions
from service.market.exchange_calendar import get_calendar
from service.prices.pull.fetcher import PullContext, pull_symbols
from service.prices.repository import read_actions
from service.prices.sources.base import (
    Action,
    ActionKind,
    FetchedPrices,
    InstrumentMeta,
    Malformed,
    NoData,
    RateLimited,
    Transient,
    UnknownSymbol,
)
from tests.support.fakes import JANUARY, World, bars_frame, evening
from tests.support.stored_bars import read_bars

CLOSES = [float(price) for price in range(100, 121)]


def closes(world: World, symbol: str) -> list[float]:
    with world.database.reading() as connection:
        return read_bars(connection, symbol).close.tolist()


def counters(world: World) -> dict[str, int]:
    with world.database.reading() as connection:
        return {
            row[0]: row[1] for row in connection.execute(select(change_counters.c.scope, change_counters.c.counter))
        }


def all_rows(world: World) -> list[tuple[object, ...]]:
    with world.database.reading() as connection:
        return [
            tuple(row) for table in (bars, instruments, quarantine, sessions, change_counters)
            for row in connection.execute(select(table))
        ]  # fmt: skip


def test_a_first_pull_stores_the_whole_history_and_the_metadata(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:10], CLOSES[:10])
    world.source.actions["AAA"] = (Action(JANUARY[4], ActionKind.DIVIDEND, 0.5),)
    outcome = world.pull(JANUARY[9])["AAA"]
    assert (outcome.state, outcome.counts) == ("ok", {"added": 10, "actions": 1})
    assert world.source.asked == [("AAA", None)]
    assert world.source.runs == 1
    assert closes(world, "AAA") == CLOSES[:10]
    instrument = world.instruments("AAA")[0]
    assert (instrument.name, instrument.group, instrument.calendar, instrument.currency) == (
        "A company",
        "equity",
        "XNYS",
        "USD",
    )
    assert (instrument.state, instrument.first_session, instrument.last_session, instrument.basis) == (
        "ok",
        JANUARY[0],
        JANUARY[9],
        1,
    )
    assert counters(world) == {"": 1, "AAA": 1}
    with world.database.reading() as connection:
        stored = connection.execute(select(sessions.c.session).order_by(sessions.c.session)).scalars().all()
        fetched = connection.execute(select(bars.c.fetched_at, bars.c.source, bars.c.revision)).first()
    assert (stored[0], stored[-1], len(stored)) == (date(2024, 1, 2), date(2024, 2, 6), 25)
    assert fetched == (datetime(2024, 1, 16, 23, tzinfo=UTC), "fake", 1)


def test_a_bar_that_is_not_final_is_not_stored(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:3], CLOSES[:3])
    early = world.pull(JANUARY[2], at=datetime(2024, 1, 4, 22, 29, tzinfo=UTC))["AAA"]
    assert (early.state, closes(world, "AAA")) == ("no_bar", CLOSES[:2])
    assert world.pull(JANUARY[2])["AAA"].state == "ok"
    assert closes(world, "AAA") == CLOSES[:3]


def test_a_later_pull_adds_new_bars(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY, CLOSES)
    world.pull(JANUARY[14])
    outcome = world.pull(JANUARY[15])["AAA"]
    assert (outcome.state, outcome.counts) == ("ok", {"added": 1})
    assert world.source.asked[1] == ("AAA", JANUARY[5])  # ten sessions before the pulled one
    assert closes(world, "AAA") == CLOSES[:16]


def test_a_pull_after_a_pause_fetches_all_missing_bars(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY, CLOSES)
    world.pull(JANUARY[10])
    world.pull(JANUARY[20])
    assert world.source.asked[1] == ("AAA", JANUARY[1])
    assert closes(world, "AAA") == CLOSES


def test_an_identical_pull_writes_nothing(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY, [*CLOSES[:5], 300.0, *CLOSES[6:]], {(3, "high"): 1.0})
    world.source.actions["AAA"] = (Action(JANUARY[4], ActionKind.DIVIDEND, 0.5),)
    world.pull(JANUARY[20])
    before = all_rows(world)
    assert world.pull(JANUARY[20])["AAA"].state == "ok"
    assert all_rows(world) == before


def test_one_failure_does_not_stop_the_others(world: World) -> None:
    for symbol in ("AAA", "CCC"):
        world.source.bars[symbol] = bars_frame(JANUARY[:3], CLOSES[:3])
    world.source.errors["BBB"] = ZeroDivisionError("a fault of the source")
    outcomes = world.pull(JANUARY[2], "AAA", "BBB", "CCC")
    assert [(outcome.symbol, outcome.state) for outcome in outcomes.values()] == [
        ("AAA", "ok"),
        ("BBB", "failed"),
        ("CCC", "ok"),
    ]
    assert "a fault of the source" in str(outcomes["BBB"].reason)
    assert world.instruments("BBB")[0].state == "failing"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_unavailable_database_fails_the_pull_and_no_symbol(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for symbol in ("AAA", "BBB"):
        world.source.bars[symbol] = bars_frame(JANUARY[:3], CLOSES[:3])
    world.pull(JANUARY[1], "AAA", "BBB")
    before = all_rows(world)
    world.source.bars["AAA"] = bars_frame(JANUARY, CLOSES)
    with world.database.engine.connect() as connection:  # the pool hands the same connection out again
        connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(OperationalError, match="readonly"):
        world.pull(JANUARY[20], "AAA", "BBB")
    with world.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=0")
    assert (all_rows(world), caplog.records) == (before, [])
    assert world.pull(JANUARY[20])["AAA"].counts == {"added": 19}


@pytest.mark.parametrize(
    ("error", "outcome", "state"),
    [
        (Transient("cut"), "transient", "ok"),
        (NoData("none"), "no_data", "ok"),
        (UnknownSymbol("gone"), "unknown", "unknown"),
        (Malformed("no columns"), "malformed", "failing"),
    ],
)
def test_each_source_error_has_its_outcome_and_state(world: World, error: Exception, outcome: str, state: str) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:3], CLOSES[:3])
    world.pull(JANUARY[1])
    world.source.errors["AAA"] = error
    found = world.pull(JANUARY[2])["AAA"]
    assert (found.state, found.reason) == (outcome, str(error))
    assert world.instruments("AAA")[0].state == state
    del world.source.errors["AAA"]
    assert world.pull(JANUARY[2])["AAA"].state == "ok"
    assert world.instruments("AAA")[0].state == "ok"


def test_a_rate_limit_defers_the_symbols_not_tried_yet(world: World) -> None:
    symbols = [f"S{number:02}" for number in range(30)]
    for symbol in symbols:
        world.source.bars[symbol] = bars_frame(JANUARY[:3], CLOSES[:3])
    world.source.errors["S03"] = RateLimited("slow down")
    outcomes = world.pull(JANUARY[2], *symbols)
    assert list(outcomes) == symbols
    assert outcomes["S03"].state == outcomes["S29"].state == "deferred"
    assert outcomes["S00"].state == "ok"
    assert len(world.source.asked) < 20
    del world.source.errors["S03"]
    assert {outcome.state for outcome in world.pull(JANUARY[2], *symbols).values()} == {"ok"}


@pytest.mark.parametrize(("count", "state"), [(0, "no_data"), (1, "ok")])
def test_histories_with_no_row_and_one_row(world: World, count: int, state: str) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:count], CLOSES[:count])
    assert world.pull(JANUARY[0])["AAA"].state == state
    assert len(closes(world, "AAA")) == count


def test_a_history_of_null_rows_has_no_bar(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:3], [np.nan] * 3)
    outcome = world.pull(JANUARY[2])["AAA"]
    assert (outcome.state, outcome.counts) == ("no_bar", {"holes": 3})
    world.source.bars["AAA"] = bars_frame(JANUARY[:3], CLOSES[:3])
    assert world.pull(JANUARY[2])["AAA"].state == "ok"


def test_a_descending_answer_is_malformed_and_not_stored(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:3][::-1], CLOSES[:3])
    assert world.pull(JANUARY[2])["AAA"].state == "malformed"
    assert closes(world, "AAA") == []


def test_missing_sessions_are_fetched_again_for_thirty_days(world: World) -> None:
    gap = [*CLOSES[:2], np.nan, *CLOSES[3:]]
    world.source.bars["AAA"] = bars_frame(JANUARY, gap)
    assert world.pull(JANUARY[19])["AAA"].counts == {"added": 19, "holes": 1}
    world.source.bars["AAA"] = bars_frame(JANUARY, CLOSES)
    world.pull(JANUARY[20])
    assert world.source.asked[1] == ("AAA", JANUARY[2])
    assert closes(world, "AAA") == CLOSES


def test_an_older_missing_session_is_not_fetched_again(world: World) -> None:
    february = [date(2024, 2, day) for day in (1, 2, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16)]
    days = [*JANUARY, *february]
    world.source.bars["AAA"] = bars_frame(days, [100.0, 101.0, np.nan, *[103.0] * (len(days) - 3)])
    world.pull(february[-2])
    world.pull(february[-1])
    assert world.source.asked[1] == ("AAA", date(2024, 2, 2))


def test_the_group_of_the_settings_has_priority(world: World) -> None:
    world.settings = world.settings.model_copy(update={"groups": ("AAA=metals",)})
    world.source.bars["AAA"] = world.source.bars["BBB"] = bars_frame(JANUARY[:1], [5.0])
    world.source.metas["BBB"] = InstrumentMeta(exchange="CME", instrument_type="FUTURE", currency="USD")
    world.pull(JANUARY[0])
    found = world.instruments("AAA", "BBB")
    assert [(instrument.group, instrument.calendar) for instrument in found] == [("metals", "XNYS"), ("other", "CMES")]


def test_no_transaction_is_open_while_fetching(world: World) -> None:
    """The source writes to the database: with a write transaction open it would block for ever."""
    world.source.bars["AAA"] = world.source.bars["BBB"] = bars_frame(JANUARY[:3], CLOSES[:3])
    plain = world.source.fetch
    seen: list[str] = []

    def fetch(symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        with world.database.transaction():
            seen.append(threading.current_thread().name)
        return plain(symbol, start, at)

    world.source.fetch = fetch  # type: ignore[method-assign]
    assert {outcome.state for outcome in world.pull(JANUARY[2]).values()} == {"ok"}
    assert all(name.startswith("fetch") for name in seen)


def test_a_pull_closed_early_leaves_no_thread(world: World) -> None:
    symbols = [f"S{number:02}" for number in range(20)]
    for symbol in symbols:
        world.source.bars[symbol] = bars_frame(JANUARY[:3], CLOSES[:3])
    context = PullContext(world.database, world.source, world.settings, get_calendar)
    pull = pull_symbols(context, world.instruments(*symbols), JANUARY[2], evening(JANUARY[2]))
    next(iter(pull))
    pull.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch")]
    assert len(world.source.asked) < 20


def test_invalid_actions_are_recorded(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:3], CLOSES[:3])
    world.source.actions["AAA"] = (Action(JANUARY[1], ActionKind.DIVIDEND, 500.0),)
    assert world.pull(JANUARY[2])["AAA"].counts == {"added": 3, "refused": 1, "recorded": 1}
    with world.database.reading() as connection:
        assert read_actions(connection, "AAA") == ()
        assert connection.execute(select(quarantine.c.state)).scalars().all() == ["refused"]


def test_a_symbol_of_another_calendar_expects_its_own_session(world: World) -> None:
    world.source.bars["AAA"] = bars_frame([date(2024, 1, 12), date(2024, 1, 15)], [5.0, 5.1])
    world.source.metas["AAA"] = InstrumentMeta(exchange="LSE", currency="GBp")
    outcome = world.pull(date(2024, 1, 15))["AAA"]  # New York is closed that day, London is not
    assert (outcome.state, outcome.counts) == ("ok", {"added": 2})
    assert world.instruments("AAA")[0].calendar == "XLON"


def test_a_fetch_in_a_thread_keeps_the_context_of_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:10], CLOSES[:10])
    seen = []
    fetch = world.source.fetch

    def note(symbol: str, first: date | None, at: datetime) -> FetchedPrices:
        seen.append((threading.current_thread().name.startswith("fetch"), get_contextvars().get("run_id")))
        return fetch(symbol, first, at)

    monkeypatch.setattr(world.source, "fetch", note)
    with bound_contextvars(run_id=7):
        world.pull(JANUARY[9])
    assert set(seen) == {(True, 7)}


def test_sessions_that_a_rollback_took_away_are_written_with_the_next_symbol(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.source.bars |= {"AAA": bars_frame(JANUARY[:10], CLOSES[:10]), "BBB": bars_frame(JANUARY[4:10], CLOSES[:6])}

    def has_bar(_connection: object, symbol: str, _session: date) -> bool:
        if symbol == "AAA":  # fails after its sessions were written
            raise ValueError("made to fail")
        return True

    monkeypatch.setattr("service.prices.pull.merge.has_bar", has_bar)
    outcomes = world.pull(JANUARY[9])
    assert [outcomes[symbol].state for symbol in ("AAA", "BBB")] == ["failed", "ok"]
    with world.database.reading() as connection:
        stored = connection.execute(select(sessions.c.session).order_by(sessions.c.session)).scalars().all()
    assert stored[:6] == list(JANUARY[4:10])
    assert len(stored) == 6 + 15  # and those ahead


def test_an_older_history_adds_the_sessions_before_those_of_another(world: World) -> None:
    world.source.bars |= {"AAA": bars_frame(JANUARY[4:10], CLOSES[:6]), "BBB": bars_frame(JANUARY[:10], CLOSES[:10])}
    world.pull(JANUARY[9])
    with world.database.reading() as connection:
        stored = connection.execute(select(sessions.c.session).order_by(sessions.c.session)).scalars().all()
    assert stored[:10] == list(JANUARY[:10])
