"""Forecasts over a held-back bar: pending with the reason, out of track records, then scored or void."""

from datetime import date
from math import log

import pytest
from sqlalchemy import insert, update

from models.config import Strategy
from service.db.tables import quarantine, scores, track_records
from service.forecasts.ledger import publish, verify
from tests.support.forecast_factory import NOON, Desk, History, Said, draft_of, sessions_until, utc

AS_OF, T, T1, T2 = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4), date(2018, 6, 5)
REASON = "unresolved break: the close of 2018-06-01 is held back, see `tplus quarantine list`"


@pytest.fixture
def broken(desk: Desk) -> Desk:
    """Return a desk where AAA closed at 100 on as_of, and T's close of 50.25 is held back."""
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    with desk.database.transaction() as connection:
        publish(connection, draft_of(Said("AAA", AS_OF, (T, T1, T2), 1)), NOON, NOON)
        seen = {"first_seen_at": NOON, "last_seen_at": NOON, "row": {"close": 50.25}, "reason": "halved"}
        connection.execute(insert(quarantine).values(symbol="AAA", session=T, state="open", **seen))
    return desk


def settle(desk: Desk, state: str) -> None:
    with desk.database.transaction() as connection:
        at = desk.context.market.now(connection)
        connection.execute(update(quarantine).values(state=state, last_seen_at=at))


def score_until(desk: Desk, *days: date) -> None:
    for day in days:
        desk.move(utc(day.year, day.month, day.day, 21, 30))
        desk.score(day)


def newest(desk: Desk) -> list[tuple[str, float | None]]:
    return [(row.state, row.actual) for row in desk.newest_scores().values()]


def test_every_step_over_the_break_is_pending_and_in_no_track_record(broken: Desk) -> None:
    broken.put("AAA", {T1: 50.0, T2: 49.0})
    score_until(broken, T, T1, T2, date(2018, 6, 6), date(2018, 6, 8), date(2018, 6, 12), date(2018, 6, 20))
    assert [(row.revision, row.state, row.reason, row.actual) for row in broken.rows(scores)] == [
        (1, "pending", REASON, None)
    ] * 3
    assert broken.rows(track_records) == []
    with broken.database.reading() as connection:
        assert verify(connection) == []


def test_a_corrected_bar_settles_it_and_all_steps_are_scored(broken: Desk) -> None:
    broken.put("AAA", {T1: 103.0, T2: 104.0})
    score_until(broken, T, T1)
    # T+1 is on the old level: what was held back was a spike, and only its own session waits.
    assert newest(broken) == [("pending", None), ("scored", pytest.approx(log(1.03), abs=1e-13))]
    broken.put("AAA", {T: 101.0})
    settle(broken, "cleared")
    score_until(broken, T2)
    assert newest(broken) == [("scored", pytest.approx(log(price), abs=1e-13)) for price in (1.01, 1.03, 1.04)]


def test_a_confirmed_crash_is_scored(broken: Desk) -> None:
    broken.put("AAA", {T1: 51.0})
    score_until(broken, T, T1)
    assert newest(broken) == [("pending", None), ("pending", None)]
    broken.put("AAA", {T: 50.25, T2: 52.0})
    settle(broken, "confirmed")
    score_until(broken, T2)
    assert newest(broken) == [("scored", pytest.approx(log(price), abs=1e-13)) for price in (0.5025, 0.51, 0.52)]
    served = [row for row in broken.rows(track_records, forecaster="served", scope="AAA")]
    assert [(row.step, row.n) for row in served] == [(1, 1), (2, 1), (3, 1)]


def test_a_rejected_bar_makes_them_void_however_late(broken: Desk) -> None:
    broken.put("AAA", {T1: 50.0, T2: 49.0})
    score_until(broken, T, T1, T2)
    days = [day for day in sessions_until(date(2018, 12, 31), 147) if day > T2]
    score_until(broken, *days[-2:])
    settle(broken, "rejected")
    score_until(broken, date(2019, 1, 2))
    assert newest(broken) == [("void", None)] * 3
    assert {row.reason for row in broken.rows(scores, state="void")} == {
        "the close of 2018-06-01 was rejected by a person"
    }
    score_until(broken, date(2019, 1, 3))
    assert len(broken.rows(scores)) == 6


def test_a_score_that_is_taken_back_leaves_the_track_record(broken: Desk) -> None:
    settle(broken, "refused")  # an earlier version knew no breaks
    second = Said("AAA", T1, (T2,), 1)
    with broken.database.transaction() as connection:
        publish(connection, draft_of(second), NOON, NOON)
    broken.put("AAA", {T1: 50.0, T2: 49.0})
    score_until(broken, T1, T2)
    (before,) = broken.rows(track_records, forecaster="served", scope="AAA", step=2)
    assert (before.n, before.mae) == (1, pytest.approx(log(2), abs=1e-12))
    settle(broken, "open")
    score_until(broken, date(2018, 6, 6))
    assert ("pending", None) in newest(broken)
    assert broken.rows(track_records, forecaster="served", scope="AAA", step=2) == []
    (first,) = broken.rows(track_records, forecaster="served", scope="AAA", step=1)
    assert (first.n, first.mae) == (1, pytest.approx(-log(0.98), abs=1e-12))
