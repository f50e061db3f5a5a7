"""Twenty replayed weeks with the real scheduler: every session, forecast and outcome once.

The weeks include Thanksgiving and the half day after it, a day of mourning, the end and the start of summer time, a
Tokyo New Year, a split, dividends, and a symbol that is added in the middle.
"""

import re
from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from service.db.session import Database
from service.db.tables import (
    bars,
    corporate_actions,
    editions,
    forecasts,
    instruments,
    runs,
    scores,
    served_forecasts,
    track_records,
)
from service.forecasts.ledger import verify
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

FIRST, LAST = date(2018, 1, 2), date(2019, 3, 15)
SPLIT, DIVIDEND = date(2018, 12, 3), date(2018, 11, 30)
NEW_YORK_HOLIDAYS = ["2018-11-22", "2018-12-05", "2018-12-25", "2019-01-01", "2019-01-21", "2019-02-18"]
TOKYO_HOLIDAYS = [
    "2018-11-23", "2018-12-24", "2018-12-31", "2019-01-01", "2019-01-02", "2019-01-03", "2019-01-14", "2019-02-11",
]  # fmt: skip
END = datetime(2019, 3, 8, 22, 30, tzinfo=UTC)


def weekdays(first: str, last: str, holidays: list[str]) -> list[date]:
    """Return Monday to Friday without holidays, both ends included."""
    days = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    return [day.astype(object) for day in days if np.is_busday(day, holidays=np.array(holidays, "datetime64[D]"))]


NEW_YORK = weekdays("2018-10-19", "2019-03-08", NEW_YORK_HOLIDAYS)
TOKYO = weekdays("2018-10-19", "2019-03-08", TOKYO_HOLIDAYS)


@pytest.fixture(scope="module")
def weeks(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The service after its weeks, for every test below."""
    folder = tmp_path_factory.mktemp("weeks")
    (folder / "weeks.db").write_bytes(migrated_file.read_bytes())
    source = RecordedWalks(
        [
            Walk("AAA", FIRST, LAST, splits={SPLIT: 4.0}, dividends={DIVIDEND: 0.4}, seed=1),
            Walk("BBB", FIRST, LAST, dividends={date(2019, 2, 7): 1.1}, seed=2),
            Walk("NEW", date(2018, 11, 12), LAST, seed=3),
            Walk("7203.T", FIRST, LAST, "XTKS", seed=4),
            Walk("SPY", FIRST, LAST, seed=5),
        ]
    )
    options = ServiceOptions("2018-10-19T22:30:00Z", ("AAA", "BBB", "7203.T"), {"reference_symbols": ("SPY",)})
    service = make_service(Database(f"sqlite:///{folder / 'weeks.db'}"), folder, source, options)
    with service.database.transaction() as connection:
        add_symbols(connection, ["SPY"], service.context.market.now(connection), {}, reference=True)
    scheduler = service.scheduler()
    service.replay(scheduler, datetime(2019, 3, 6, 7, 30, tzinfo=UTC))
    with service.database.transaction() as connection:
        add_symbols(connection, ["NEW"], service.context.market.now(connection), {})
    service.replay(scheduler, END)
    scheduler.close()
    return service


def rows(service: Service, query: Any) -> list[Any]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def test_the_calendars_equal_the_literal_ones() -> None:
    assert (len(NEW_YORK), len(TOKYO)) == (95, 93)
    assert get_calendar("XNYS", FIRST).close_at(date(2018, 11, 23)).hour == 18


@pytest.mark.parametrize("job", ["pull", "score", "forecast"])
@pytest.mark.parametrize(("calendar", "expected"), [("XNYS", NEW_YORK), ("XTKS", TOKYO)])
def test_every_session_has_exactly_one_run_of_each_job(
    weeks: Service, job: str, calendar: str, expected: list[date]
) -> None:
    mine = (runs.c.job == job, runs.c.scope == calendar, runs.c.sequence == 0)
    found = rows(weeks, select(runs.c.session, runs.c.state, runs.c.attempt).where(*mine).order_by(runs.c.id))
    assert [row.session for row in found] == expected
    assert {(row.state, row.attempt) for row in found} == {("done", 1)}


def test_every_symbol_version_and_step_is_forecast_once_a_session(weeks: Service) -> None:
    found = rows(weeks, select(forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step))
    expected = Counter(
        (symbol, session, strategy, step)
        for symbol, sessions in (("AAA", NEW_YORK), ("BBB", NEW_YORK), ("7203.T", TOKYO))
        for session in sessions
        for strategy, steps in (("one_step", (1,)), ("multi_step", (1, 2, 3)))
        for step in steps
    )
    # NEW was added on a Wednesday at 07:30Z: Tuesday's forecast was still on time, before the open of 14:30Z.
    expected += Counter(
        ("NEW", date(2019, 3, day), strategy, step)
        for day in (5, 6, 7, 8)
        for strategy, step in (("one_step", 1), ("multi_step", 1), ("multi_step", 2), ("multi_step", 3))
    )
    assert Counter(tuple(row) for row in found) == expected


def test_targets_are_the_next_sessions_of_the_exchange(weeks: Service) -> None:
    query = select(forecasts.c.step, forecasts.c.target_session).where(
        forecasts.c.symbol == "AAA", forecasts.c.strategy == "multi_step", forecasts.c.as_of == date(2018, 11, 21)
    )
    assert sorted(tuple(row) for row in rows(weeks, query)) == [
        (1, date(2018, 11, 23)), (2, date(2018, 11, 26)), (3, date(2018, 11, 27)),
    ]  # fmt: skip


def test_every_forecast_has_one_outcome_once_its_session_is_final(weeks: Service) -> None:
    outer = forecasts.outerjoin(scores, scores.c.forecast_id == forecasts.c.id)
    columns = (forecasts.c.target_session, scores.c.state, scores.c.revision)
    found = rows(weeks, select(*columns).select_from(outer))
    assert {tuple(row[1:]) for row in found if row.target_session <= END.date()} == {("scored", 1)}
    assert {tuple(row[1:]) for row in found if row.target_session > END.date()} == {(None, None)}


def test_every_forecast_was_issued_on_time_and_after_its_session(weeks: Service) -> None:
    query = select(editions.c.calendar, editions.c.as_of, editions.c.issued_at, editions.c.mode)
    for row in rows(weeks, query):
        calendar = get_calendar(row.calendar, FIRST, LAST)
        assert calendar.close_at(row.as_of) < row.issued_at < calendar.open_at(calendar.next(row.as_of))
        assert row.mode == "replay"


def test_editions_are_gapless_and_the_chain_holds(weeks: Service) -> None:
    numbers = [row.number for row in rows(weeks, select(editions.c.number).order_by(editions.c.number))]
    assert numbers == list(range(1, len(NEW_YORK) + len(TOKYO) + 2))
    with weeks.database.reading() as connection:
        assert verify(connection) == []


def test_each_symbol_and_strategy_has_one_served_forecast(weeks: Service) -> None:
    found = rows(weeks, select(served_forecasts.c.symbol, served_forecasts.c.strategy, func.count()).group_by(
        served_forecasts.c.symbol, served_forecasts.c.strategy
    ))  # fmt: skip
    assert {tuple(row) for row in found if row.symbol == "AAA"} == {("AAA", "multi_step", 95), ("AAA", "one_step", 95)}
    reasons = {row.reason for row in rows(weeks, select(served_forecasts.c.reason))}
    first = "the random walk serves until a network is trained and accepted"
    assert first in reasons
    assert all(re.fullmatch(r"the random walk serves: \d+ pooled .* a network needs", r) for r in reasons - {first})


def test_trainings_come_weekly(weeks: Service) -> None:
    found = rows(weeks, select(runs.c.session, runs.c.state).where(runs.c.job == "train").order_by(runs.c.id))
    assert {row.state for row in found} == {"done"}
    gaps = {(after.session - before.session).days for before, after in pairwise(found)}
    assert gaps <= {7, 8, 9, 10}
    assert 18 <= len(found) <= 21


def test_a_split_causes_no_error(weeks: Service) -> None:
    query = select(scores.c.actual).join(forecasts, forecasts.c.id == scores.c.forecast_id)
    across = query.where(forecasts.c.symbol == "AAA", forecasts.c.as_of < SPLIT, forecasts.c.target_session >= SPLIT)
    moves = [row.actual for row in rows(weeks, across)]
    assert len(moves) == 7  # one-step from Friday; steps 1..3, 2..3 and 3 of the three sessions before the split
    assert max(abs(move) for move in moves) < 0.1
    basis = {row.basis for row in rows(weeks, select(forecasts.c.basis).where(forecasts.c.symbol == "AAA"))}
    assert len(basis) == 2
    assert rows(weeks, select(instruments.c.basis).where(instruments.c.symbol == "BBB")) == [(1,)]


def test_a_dividend_is_part_of_the_return(weeks: Service) -> None:
    eve = date(2018, 11, 29)
    query = select(bars.c.session, bars.c.close).where(bars.c.symbol == "AAA", bars.c.session.in_([eve, DIVIDEND]))
    closes = {row.session: row.close for row in rows(weeks, query)}
    paid = rows(
        weeks,
        select(corporate_actions.c.value).where(
            corporate_actions.c.symbol == "AAA", corporate_actions.c.kind == "dividend"
        ),
    )
    assert paid == [(0.4,)]
    own = (forecasts.c.symbol == "AAA", forecasts.c.as_of == eve, forecasts.c.step == 1)
    joined = select(scores.c.actual).join(forecasts, forecasts.c.id == scores.c.forecast_id)
    actual = rows(weeks, joined.where(*own))[0].actual
    assert actual == pytest.approx(np.log(closes[DIVIDEND] / (closes[eve] - 0.4)), abs=1e-12)


def test_every_symbol_and_group_has_track_records(weeks: Service) -> None:
    found = rows(
        weeks,
        select(track_records).where(track_records.c.forecaster == "served", track_records.c.strategy == "one_step"),
    )
    counts = {(row.scope_kind, row.scope): row.n for row in found}
    assert counts == {
        ("symbol", "AAA"): 94, ("symbol", "BBB"): 94, ("symbol", "7203.T"): 92, ("symbol", "NEW"): 3,
        ("group", "equity"): 283,
    }  # fmt: skip
    assert {row.mode for row in found} == {"replay"}
    by_name = {row.scope: row for row in found}
    assert by_name["AAA"].skill == 0.0  # the random walk is served: no better than itself
    assert by_name["NEW"].skill is None


def test_references_are_pulled_and_not_forecast(weeks: Service) -> None:
    assert rows(weeks, select(func.max(bars.c.session)).where(bars.c.symbol == "SPY")) == [(date(2019, 3, 8),)]
    assert rows(weeks, select(forecasts.c.id).where(forecasts.c.symbol == "SPY")) == []


def test_no_bar_was_stored_before_it_was_final(weeks: Service) -> None:
    query = select(bars.c.symbol, bars.c.session, bars.c.fetched_at, instruments.c.calendar)
    for row in rows(weeks, query.join(instruments, instruments.c.symbol == bars.c.symbol)):
        settled = get_calendar(row.calendar, FIRST, LAST).final_at(row.session, weeks.context.calendars.settle("XNYS"))
        assert row.fetched_at >= settled
