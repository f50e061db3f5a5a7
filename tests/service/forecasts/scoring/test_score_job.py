"""The score job: pending, scored, void and revised outcomes in a real database."""

from datetime import date
from math import log

import pytest
from sqlalchemy import update

from models.config import Strategy
from service.db.tables import change_counters, forecasts, runs, scores, sessions, track_records
from service.errors import FencedError
from service.forecasts.ledger import publish
from service.forecasts.scoring.score_job import score
from tests.support.forecast_factory import NOON, Desk, History, Said, draft_of, sessions_until, utc

AS_OF, T, T1, T2 = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4), date(2018, 6, 5)
LATER = (date(2018, 6, 6), date(2018, 6, 7), date(2018, 6, 8), date(2018, 6, 11), date(2018, 6, 12))


@pytest.fixture
def published(desk: Desk) -> Desk:
    """Return a desk where AAA closed at 100 on as_of and the random walk forecast T, T+1, T+2."""
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    publish_forecasts(desk, Said("AAA", AS_OF, (T, T1, T2), 1))
    return desk


def publish_forecasts(desk: Desk, *given: Said, calendar: str = "XNYS") -> None:
    with desk.database.transaction() as connection:
        publish(connection, draft_of(*given, calendar=calendar), NOON, NOON)


def score_evening(desk: Desk, day: date, **closes: float) -> dict[str, object]:
    """Store the bars of a session and score it; return the outcomes by symbol."""
    for symbol, close in closes.items():
        desk.put(symbol, {day: close})
    desk.move(utc(day.year, day.month, day.day, 21, 30))
    return {symbol: outcome.state for symbol, outcome in desk.score(day).items()}


def states(desk: Desk) -> list[tuple[int, int, str]]:
    steps = {row.id: row.step for row in desk.rows(forecasts)}
    return sorted((steps[row.forecast_id], row.revision, row.state) for row in desk.rows(scores))


def test_each_step_is_scored_when_its_session_is_final(published: Desk) -> None:
    assert score_evening(published, T, AAA=101.0) == {"AAA": "scored"}
    assert states(published) == [(1, 1, "scored")]
    score_evening(published, T1, AAA=95.0)
    score_evening(published, T2, AAA=107.0)
    assert states(published) == [(1, 1, "scored"), (2, 1, "scored"), (3, 1, "scored")]
    rows = published.rows(scores)
    assert [row.actual for row in rows] == pytest.approx(
        [0.009950330853168083, -0.05129329438755058, 0.0676586484738], abs=1e-13
    )
    assert [row.pinball for row in rows] == pytest.approx(
        [0.0037107379180834, 0.0127476051384109, 0.0196864670940503], abs=1e-14
    )
    assert [(row.inside_50, row.inside_80, row.inside_95) for row in rows] == [
        (True, True, True), (False, False, True), (False, False, False),
    ]  # fmt: skip
    assert rows[0].scored_at == utc(2018, 6, 1, 21, 30)


def test_nothing_is_scored_a_minute_before_the_bar_is_final(published: Desk) -> None:
    published.put("AAA", {T: 101.0})
    published.move(utc(2018, 6, 1, 21, 29))
    assert published.score(T) == {}
    assert states(published) == []


def test_a_repeated_run_adds_no_score(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    before = {row.scope: row.counter for row in published.rows(change_counters)}
    assert published.score(T, sequence=1) == {}
    assert states(published) == [(1, 1, "scored")]
    assert {row.scope: row.counter for row in published.rows(change_counters)} == before


def test_a_new_score_raises_the_counters_and_is_reported(published: Desk) -> None:
    before = {row.scope: row.counter for row in published.rows(change_counters)}
    score_evening(published, T, AAA=101.0)
    after = {row.scope: row.counter for row in published.rows(change_counters)}
    assert (after["AAA"] - before["AAA"], after[""] - before[""]) == (1, 1)
    (summary,) = published.reporter.scored
    assert (summary.calendar, summary.session, summary.scored, summary.inside_80, summary.void) == ("XNYS", T, 1, 1, 0)


def test_a_corrected_close_gives_a_new_revision_of_every_step_that_uses_it(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    score_evening(published, T1, AAA=95.0)
    published.correct("AAA", AS_OF, 98.0)
    score_evening(published, T2, AAA=107.0)
    assert states(published) == [
        (1, 1, "scored"), (1, 2, "scored"), (2, 1, "scored"), (2, 2, "scored"), (3, 1, "scored"),
    ]  # fmt: skip
    newest = [row.actual for row in published.newest_scores().values()]
    assert newest == pytest.approx([log(101 / 98), log(95 / 98), log(107 / 98)], abs=1e-13)


def test_a_dividend_that_arrives_after_scoring_gives_a_new_revision(published: Desk) -> None:
    score_evening(published, T, AAA=98.0)
    assert [row.actual for row in published.rows(scores)] == pytest.approx([log(0.98)], abs=1e-13)
    published.act("AAA", T, "dividend", 2.0)
    score_evening(published, T1, AAA=98.0)
    first = [row.actual for row in published.rows(scores) if row.revision == 2]
    assert first == pytest.approx([0.0], abs=1e-13)


def test_a_split_re_bases_both_closes_and_changes_no_return(published: Desk) -> None:
    published.correct("AAA", AS_OF, 50.0)  # the history is re-pulled on the new basis
    published.act("AAA", T, "split", 2.0)
    score_evening(published, T, AAA=50.5)
    assert [row.actual for row in published.rows(scores)] == pytest.approx([0.009950330853168083], abs=1e-13)


def test_a_missing_bar_is_void_after_five_sessions_and_scored_if_it_arrives(published: Desk) -> None:
    for day in (T1, T2, *LATER[:2]):
        score_evening(published, day, AAA=100.0)
        assert (1, 1, "void") not in states(published)
    score_evening(published, LATER[2], AAA=100.0)
    assert [row for row in states(published) if row[0] == 1] == [(1, 1, "void")]
    (void,) = [row for row in published.rows(scores) if row.state == "void"]
    assert void.reason == "no bar of 2018-06-01 (or of 2018-05-31) arrived within 5 sessions"
    published.put("AAA", {T: 101.0})
    assert score_evening(published, LATER[3], AAA=100.0) == {"AAA": "scored"}
    assert [row for row in states(published) if row[0] == 1] == [(1, 1, "void"), (1, 2, "scored")]


def test_a_void_forecast_is_scored_however_late_its_bar_arrives(published: Desk) -> None:
    days = [day for day in sessions_until(date(2018, 12, 31), 147) if day > T2]
    for day in (*days[:5], *days[-2:]):
        score_evening(published, day, AAA=100.0)
    assert states(published) == [(1, 1, "void"), (2, 1, "void"), (3, 1, "void")]
    published.put("AAA", {T: 101.0, T1: 102.0})
    published.move(utc(2019, 1, 2, 21, 30))
    published.score(date(2019, 1, 2))
    assert [row for row in states(published) if row[1] == 2] == [(1, 2, "scored"), (2, 2, "scored")]
    published.move(utc(2019, 1, 3, 21, 30))
    published.score(date(2019, 1, 3))
    assert len(states(published)) == 5


def test_a_closed_session_is_void_immediately_and_is_no_later_session(published: Desk) -> None:
    published.close_session("XNYS", T)
    score_evening(published, T1, AAA=101.0)
    assert states(published) == [(1, 1, "void"), (2, 1, "scored")]
    assert [row.reason for row in published.rows(scores) if row.state == "void"] == ["session 2018-06-01 was closed"]


def test_a_closed_session_does_not_count_among_the_five(published: Desk) -> None:
    published.close_session("XNYS", T2)
    for day in (T1, *LATER[:3]):
        score_evening(published, day, AAA=100.0)
    assert [row for row in states(published) if row[0] == 1] == []
    score_evening(published, LATER[3], AAA=100.0)
    assert [row for row in states(published) if row[0] == 1] == [(1, 1, "void")]


def test_a_session_that_was_not_closed_after_all_is_scored(published: Desk) -> None:
    published.close_session("XNYS", T)
    score_evening(published, T1, AAA=101.0)
    published.put("AAA", {T: 101.0})
    with published.database.transaction() as connection:
        connection.execute(update(sessions).where(sessions.c.session == T).values(state="expected"))
    score_evening(published, T2, AAA=101.0)
    assert [row for row in states(published) if row[0] == 1] == [(1, 1, "void"), (1, 2, "scored")]


def test_both_revisions_and_every_forecaster_are_scored(published: Desk) -> None:
    network = published.add_network(Strategy.MULTI_STEP, "challenger")
    second = Said("AAA", AS_OF, (T, T1, T2), 1, revision=2)
    challenger = Said("AAA", AS_OF, (T, T1, T2), network, revision=2, served=False)
    publish_forecasts(published, second, challenger)
    score_evening(published, T, AAA=101.0)
    assert states(published) == [(1, 1, "scored")] * 3
    assert published.reporter.scored[0].scored == 2  # the served forecasts of both revisions


def test_forecasts_of_another_calendar_are_not_scored(published: Desk) -> None:
    published.add(History("7203.T", AS_OF, [1000.0], calendar="XTKS"))
    publish_forecasts(published, Said("7203.T", AS_OF, (T, T1, T2), 1), calendar="XTKS")
    published.put("7203.T", {T: 1010.0})
    score_evening(published, T, AAA=101.0)
    symbols = {row.id: row.symbol for row in published.rows(forecasts)}
    assert {symbols[row.forecast_id] for row in published.rows(scores)} == {"AAA"}
    published.score(T, calendar="XTKS")
    assert {symbols[row.forecast_id] for row in published.rows(scores)} == {"AAA", "7203.T"}


def test_old_forecasts_get_their_outcome_after_a_long_stop(published: Desk) -> None:
    days = [day for day in sessions_until(date(2018, 12, 31), 147) if day > AS_OF]
    published.put("AAA", dict.fromkeys(days, 101.0))
    last = days[-1]
    published.move(utc(last.year, last.month, last.day, 21, 30))
    assert published.score(last)["AAA"].state == "scored"
    assert states(published) == [(1, 1, "scored"), (2, 1, "scored"), (3, 1, "scored")]


def test_track_records_are_written_with_the_scores(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    found = {(row.scope_kind, row.scope, row.step, row.forecaster): row for row in published.rows(track_records)}
    assert set(found) == {
        (kind, scope, 1, name)
        for kind, scope in (("symbol", "AAA"), ("group", "equity"))
        for name in ("served", "random_walk")
    }
    served = found[("symbol", "AAA", 1, "served")]
    assert (served.n, served.skill, served.mode, served.as_of) == (1, None, "replay", T)


def test_a_worker_whose_run_was_taken_over_scores_nothing(published: Desk) -> None:
    published.put("AAA", {T: 101.0})
    published.move(utc(2018, 6, 1, 22))
    run = published.run("score", T)
    with published.database.transaction() as connection:
        connection.execute(update(runs).values(token=run.token + 1))
    with pytest.raises(FencedError):
        score(published.context, run)
    assert published.rows(scores) == []
