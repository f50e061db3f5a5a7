"""Scores of old forecasts after an action changed, in a real database."""

from datetime import date, datetime
from math import log

import pytest

from models.config import Strategy
from service.db.tables import scores
from service.forecasts.ledger import publish
from service.forecasts.scoring.changed_actions import forecasts_of_changed_actions
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.store import Writer
from tests.support.forecast_factory import NOON, Desk, History, Said, draft_of, sessions_until, utc

AS_OF, T, T1, T2 = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4), date(2018, 6, 5)
MONTHS_LATER = date(2018, 12, 28)
SINCE = date(2018, 11, 13)


@pytest.fixture
def scored(desk: Desk) -> Desk:
    """Return a desk where AAA was forecast for T to T+2, went ex a dividend of 2 on T, and was scored."""
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    with desk.database.transaction() as connection:
        publish(connection, draft_of(Said("AAA", AS_OF, (T, T1, T2), 1)), NOON, NOON)
    desk.put("AAA", {T: 98.0, T1: 98.0, T2: 98.0})
    desk.act("AAA", T, "dividend", 2.0)
    for day in (T2, *sessions_until(MONTHS_LATER, 2)[:1]):
        desk.move(utc(day.year, day.month, day.day, 21, 30))
        desk.score(day)
    return desk


def writer_calls(desk: Desk, at: datetime, withdrawn: Action | None, added: Action | None) -> None:
    with desk.database.transaction() as connection:
        writer = Writer(connection, "AAA", "fake", at)
        if withdrawn is not None:
            writer.withdraw_actions([withdrawn], 1)
        if added is not None:
            writer.put_actions([], [added], 1)


def dividend(day: date, value: float) -> Action:
    return Action(day, ActionKind.DIVIDEND, value)


@pytest.mark.parametrize(
    ("withdrawn", "added", "actuals"),
    [
        (dividend(T, 2.0), None, [0.0, 0.0, 0.0, log(0.98), log(0.98), log(0.98)]),
        (dividend(T, 2.0), dividend(T2, 1.96), [0.0, 0.0, 0.0, log(0.98), log(0.98)]),
        (None, dividend(T1, 1.96), [0.0, 0.0, 0.0, log(98 / 96.04), log(98 / 96.04)]),
    ],
)
def test_a_change_after_months_revises_the_scores_it_touches(
    scored: Desk, withdrawn: Action | None, added: Action | None, actuals: list[float]
) -> None:
    at = utc(2018, 12, 28, 21, 30)
    scored.move(at)
    writer_calls(scored, at, withdrawn, added)
    scored.score(MONTHS_LATER)
    rows = sorted(scored.rows(scores), key=lambda row: (row.revision, row.forecast_id))
    assert [row.actual for row in rows] == pytest.approx(actuals, abs=1e-12)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_many_changes_take_several_queries(scored: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.forecasts.scoring.changed_actions._AT_ONCE", 1)
    monkeypatch.setattr("service.forecasts.scoring.score_job._AT_ONCE", 1)
    at = utc(2018, 12, 28, 21, 30)
    scored.move(at)
    writer_calls(scored, at, dividend(T, 2.0), dividend(T2, 1.96))
    scored.score(MONTHS_LATER)
    revised = [row.actual for row in scored.rows(scores) if row.revision == 2]
    assert revised == pytest.approx([log(0.98), log(0.98)], abs=1e-12)  # T+2 has the same dividend as before


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("day", "at", "found"),
    [
        (T, SINCE, {1, 2, 3}),
        (T1, SINCE, {2, 3}),
        (T2, SINCE, {3}),
        (AS_OF, SINCE, set()),
        (date(2018, 6, 6), SINCE, set()),
        (date(2018, 1, 5), SINCE, set()),
        (T, date(2018, 11, 12), set()),
    ],
)
def test_forecasts_across_an_ex_date_that_changed_since_a_date(
    scored: Desk, day: date, at: date, found: set[int]
) -> None:
    scored.act("AAA", day, "factor", 0.99, utc(at.year, at.month, at.day, 0, 0))
    with scored.database.reading() as connection:
        assert forecasts_of_changed_actions(connection, "XNYS", SINCE) == found
        assert forecasts_of_changed_actions(connection, "XTKS", SINCE) == set()
