"""Back-fills: what is published, scored and counted, and what is left alone."""

from collections.abc import Iterable
from datetime import date
from math import log
from typing import Any

import pytest

from service.api.forecasts.queries import ForecastQuery, read_editions
from service.cli.serve.forecast_output import forecast_document
from service.db.tables import (
    calibration_states,
    change_counters,
    editions,
    forecasts,
    model_versions,
    runs,
    scores,
    served_forecasts,
    track_records,
)
from service.errors import CalendarError, NotFound, SettingsError
from service.forecasts.backfill.backfill_job import backfill
from service.forecasts.backfill.span import BackfillRequest
from service.forecasts.calibration.states import read_lineages
from service.forecasts.ledger import verify
from tests.support.backfill_factory import DAYS, LAST, fill, fill_desk, served_by
from tests.support.forecast_factory import Desk, History, random_closes, sessions_until, utc

WEDNESDAY, THURSDAY, FRIDAY, MONDAY, TUESDAY = DAYS[:5]


def rows_of(desk: Desk) -> dict[str, list[Any]]:
    return {table.name: desk.rows(table) for table in (editions, forecasts, served_forecasts, scores, model_versions)}


def on_time(desk: Desk, as_of: date) -> None:
    """An on-time edition of a session, in its evening."""
    desk.move(utc(as_of.year, as_of.month, as_of.day, 22))
    desk.forecast(as_of)
    desk.move(utc(2018, 6, 9, 12))


def test_each_session_is_an_edition_of_what_is_missing_issued_now(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB")
    summary = fill(desk, date(2018, 6, 2), TUESDAY)  # a Saturday to a Tuesday
    assert (summary.sessions, summary.editions) == ((MONDAY, TUESDAY), [(MONDAY, 1), (TUESDAY, 2)])
    assert (summary.published, summary.already_stored, summary.without_bar, summary.refused) == (4, 0, 0, {})
    rows = desk.rows(editions)
    assert {(row.mode, row.calendar, row.issued_at, row.run_id) for row in rows} == {
        ("backfill", "XNYS", utc(2018, 6, 9, 12), None)
    }
    stored = desk.rows(forecasts, as_of=TUESDAY, symbol="BBB", strategy="multi_step")
    assert [(row.step, row.target_session, row.revision) for row in stored] == [
        (1, date(2018, 6, 6), 1), (2, date(2018, 6, 7), 1), (3, date(2018, 6, 8), 1)
    ]  # fmt: skip
    assert {row.last_close for row in stored} == {random_closes(330, 2)[-4]}
    with desk.database.reading() as connection:
        assert verify(connection) == []


def test_repeated_it_publishes_nothing(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB")
    fill(desk, THURSDAY, MONDAY)
    before = rows_of(desk)
    summary = fill(desk, THURSDAY, MONDAY)
    assert (summary.editions, summary.published, summary.already_stored) == ([], 0, 6)
    assert rows_of(desk) == before


def test_what_stands_on_time_stays_and_the_rest_is_filled(desk: Desk) -> None:
    fill_desk(desk, "AAA")
    on_time(desk, FRIDAY)
    desk.add(History("BBB", LAST, random_closes(330, 2)))
    fill(desk, FRIDAY, FRIDAY)
    stored = {(row.edition, row.symbol) for row in desk.rows(forecasts)}
    assert stored == {(1, "AAA"), (2, "BBB")}


def test_only_the_symbols_asked_for(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB", "CCC")
    fill(desk, FRIDAY, FRIDAY, "CCC", "AAA")
    assert {row.symbol for row in desk.rows(forecasts)} == {"AAA", "CCC"}


def test_a_session_is_filled_once_its_t_has_opened_and_not_before(desk: Desk) -> None:
    fill_desk(desk)
    desk.move(utc(2018, 6, 4, 13, 29))  # New York opens at 13:30
    with pytest.raises(
        SettingsError,
        match=r"XNYS has no session from 2018-06-01 to 2018-06-01 for a backfill: the newest one whose T has "
        r"opened is 2018-05-31; later ones are forecast on time",
    ):
        fill(desk, FRIDAY, FRIDAY)
    desk.move(utc(2018, 6, 4, 13, 30))
    assert fill(desk, FRIDAY, LAST).sessions == (FRIDAY,)


def test_nothing_after_as_of_changes_it(desk: Desk) -> None:
    """The same session filled twice, for twins that differ after it alone."""
    closes = random_closes(330, 1)
    desk.add(History("AAA", LAST, closes))
    desk.add(History("TWIN", LAST, [*closes[:-6], *[9.0] * 6], group="twin"))
    desk.act("TWIN", MONDAY, "dividend", 3.0)
    desk.move(utc(2018, 6, 9, 12))
    fill(desk, WEDNESDAY, THURSDAY)
    names = [column.name for column in forecasts.c if column.name.startswith(("raw_", "q", "sigma", "last_close"))]

    def said(symbol: str) -> list[tuple[float, ...]]:
        rows = sorted(desk.rows(forecasts, symbol=symbol), key=lambda row: (row.as_of, row.strategy, row.step))
        return [tuple(getattr(row, name) for name in names) for row in rows]

    assert len(said("AAA")) == 8
    assert said("AAA") == said("TWIN")


def test_the_newest_answer_stays_the_one_on_time(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB")
    on_time(desk, THURSDAY)
    desk.add(History("NEW", LAST, random_closes(330, 3)))
    fill(desk, WEDNESDAY, MONDAY)
    now = ForecastQuery(utc(2018, 6, 9, 12))
    with desk.database.reading() as connection:
        found = read_editions(connection, ["AAA", "BBB", "NEW"], now)
        asked = read_editions(connection, ["AAA"], ForecastQuery(now.known_at, MONDAY))
        then = read_editions(connection, ["AAA"], ForecastQuery(utc(2018, 6, 9, 11, 59), MONDAY))
    assert {symbol: (row.mode, row.as_of) for symbol, row in found.items()} == {
        "AAA": ("replay", THURSDAY), "BBB": ("replay", THURSDAY)
    }  # fmt: skip
    assert [row.mode for row in asked.values()] == ["backfill"]
    assert then == {}  # it was not issued yet


def test_what_is_final_is_scored_with_the_publish(desk: Desk) -> None:
    closes = random_closes(330, 1)
    fill_desk(desk)
    fill(desk, date(2018, 2, 1), date(2018, 2, 1))
    (first, *_) = desk.rows(forecasts, strategy="multi_step")
    place = sessions_until(LAST, 330).index(date(2018, 2, 1))
    actual = {row.forecast_id: row.actual for row in desk.rows(scores)}
    assert len(actual) == 4
    assert actual[first.id] == pytest.approx(log(closes[place + 1] / closes[place]), abs=1e-13)


def test_a_dividend_within_the_steps_counts_and_a_later_one_does_not(desk: Desk) -> None:
    desk.add(History("AAA", LAST, [100.0] * 330))
    desk.act("AAA", MONDAY, "dividend", 5.0)
    desk.act("AAA", LAST, "dividend", 20.0)
    desk.move(utc(2018, 6, 9, 12))
    fill(desk, THURSDAY, THURSDAY)
    steps = {row.id: row.step for row in desk.rows(forecasts, strategy="multi_step")}
    actual = {steps[row.forecast_id]: row.actual for row in desk.rows(scores) if row.forecast_id in steps}
    assert actual == pytest.approx({1: 0.0, 2: -log(0.95), 3: -log(0.95)}, abs=1e-13)


def test_a_target_without_a_bar_is_void_at_once_where_none_comes_any_more(desk: Desk) -> None:
    closes: list[float | None] = [*random_closes(330, 1)]
    closes[-7] = None  # Thursday's, with Friday to the next Friday after it
    desk.add(History("AAA", LAST, closes))
    desk.move(utc(2018, 6, 9, 12))
    fill(desk, WEDNESDAY, WEDNESDAY)
    steps = {row.id: row.step for row in desk.rows(forecasts, strategy="multi_step")}
    states = {steps[row.forecast_id]: row.state for row in desk.rows(scores) if row.forecast_id in steps}
    assert states == {1: "void", 2: "scored", 3: "scored"}


def counted(desk: Desk, mode: str) -> dict[tuple[str, int], int]:
    rows = desk.rows(track_records, mode=mode, scope="AAA", forecaster="served")
    return {(row.strategy, row.step): row.n for row in rows}


def test_its_track_record_is_its_own(desk: Desk) -> None:
    fill_desk(desk)
    on_time(desk, THURSDAY)
    desk.score(LAST)
    before = desk.rows(track_records)
    states = desk.rows(calibration_states)
    fill(desk, date(2018, 5, 1), LAST)
    assert [row for row in desk.rows(track_records) if row.mode == "replay"] == before
    assert counted(desk, "replay") == {
        ("one_step", 1): 1,
        ("multi_step", 1): 1,
        ("multi_step", 2): 1,
        ("multi_step", 3): 1,
    }
    # 27 sessions from 1 May to 7 June, the newest whose T has opened is 7 June; one of them was on time.
    assert counted(desk, "backfill") == {
        ("one_step", 1): 26, ("multi_step", 1): 26, ("multi_step", 2): 25, ("multi_step", 3): 24
    }  # fmt: skip
    assert desk.rows(calibration_states) == states


def test_steps_that_close_later_are_scored_by_the_score_job(desk: Desk) -> None:
    fill_desk(desk)
    desk.move(utc(2018, 6, 6, 12))
    fill(desk, MONDAY, MONDAY)
    assert counted(desk, "backfill") == {("one_step", 1): 1, ("multi_step", 1): 1}
    learnt = desk.rows(calibration_states)
    desk.move(utc(2018, 6, 9, 12))
    desk.score(LAST)
    assert counted(desk, "backfill") == {
        ("one_step", 1): 1, ("multi_step", 1): 1, ("multi_step", 2): 1, ("multi_step", 3): 1
    }  # fmt: skip
    assert counted(desk, "replay") == {}
    assert desk.rows(calibration_states) == learnt == []


def test_the_stand_in_bears_no_calibration_state(desk: Desk) -> None:
    fill_desk(desk)
    on_time(desk, THURSDAY)
    fill(desk, WEDNESDAY, WEDNESDAY)
    served = desk.rows(served_forecasts, edition=1)[0].model_version_id
    substitute = served_by(desk)[WEDNESDAY][0]
    with desk.database.reading() as connection:
        lineages = read_lineages(connection, [served, substitute])
    assert substitute not in lineages[served].versions
    assert substitute in lineages[substitute].versions


def test_a_missed_session_stays_missed(desk: Desk) -> None:
    """The scheduler comes late to a session that was filled meanwhile: on time it was missed all the same."""
    fill_desk(desk)
    fill(desk, FRIDAY, FRIDAY)
    outcome = desk.forecast(FRIDAY)["AAA"]
    assert (outcome.state, len(desk.rows(editions))) == ("missed", 1)
    (run,) = desk.rows(runs)
    (told,) = forecast_document(desk.context, [run.id], ())["forecasts"]
    assert (told["state"], "multi_step" in told) == ("missed", False)


def test_two_at_once_publish_each_forecast_once(desk: Desk) -> None:
    fill_desk(desk)

    def overtake() -> None:
        desk.worker.meanwhile = None
        fill(desk, THURSDAY, FRIDAY)

    desk.worker.meanwhile = overtake
    summary = fill(desk, THURSDAY, FRIDAY)
    assert (summary.editions, summary.already_stored) == ([], 1)
    assert [(row.number, row.as_of) for row in desk.rows(editions)] == [(1, THURSDAY), (2, FRIDAY)]
    assert len(desk.rows(model_versions)) == 2  # one random walk of each strategy for both


def test_a_short_history_is_refused_and_said(desk: Desk) -> None:
    fill_desk(desk, "AAA")
    desk.add(History("NEW", LAST, random_closes(65, 2)))
    summary = fill(desk, WEDNESDAY, TUESDAY)
    times, reason = summary.refused["NEW"]
    assert (times, summary.published) == (2, 8)
    assert reason.startswith("NEW: it has 59 bars in the 245 sessions up to 2018-05-31")


def test_a_session_that_turned_out_closed_is_passed_over(desk: Desk) -> None:
    fill_desk(desk)
    desk.close_session("XNYS", FRIDAY)
    assert fill(desk, THURSDAY, MONDAY).sessions == (THURSDAY, MONDAY)
    (first, *_) = desk.rows(forecasts, as_of=THURSDAY)
    assert first.target_session == MONDAY


def test_readers_learn_of_it(desk: Desk) -> None:
    fill_desk(desk)
    fill(desk, THURSDAY, THURSDAY)
    assert {row.scope for row in desk.rows(change_counters)} >= {"", "AAA"}


def refusals() -> Iterable[tuple[tuple[str, str, str, tuple[str, ...]], type[Exception], str]]:
    yield ("MARS", "2018-05-01", "2018-05-31", ()), CalendarError, "there is no calendar named 'MARS'; use"
    yield ("XNYS", "2018-05-31", "2018-05-01", ()), SettingsError, "--from 2018-05-31 is after --to 2018-05-01"
    yield ("XNYS", "2019-05-01", "2019-05-31", ()), SettingsError, "the newest one whose T has opened is 2018-06-07"
    yield ("XNYS", "2018-06-02", "2018-06-03", ()), SettingsError, "the market was closed; use a longer range"
    yield ("XNYS", "2001-01-02", "2001-12-31", ()), SettingsError, "the first bar is of 2017-02-16; use a later range"
    yield ("XTKS", "2018-05-01", "2018-05-31", ()), NotFound, "no symbol of the watchlist trades on XTKS; see"
    yield ("XNYS", "2018-05-01", "2018-05-31", ("AAA", "ZZZ")), NotFound, "^ZZZ: not among the watchlist's symbols of"
    yield ("XNYS", "2018-05-31", "2018-05-31", ("HOLE",)), NotFound, "HOLE: no bar of any session from 2018-05-31 to"


@pytest.mark.parametrize(("asked", "kind", "sentence"), list(refusals()))
def test_what_cannot_be_filled_is_said(
    desk: Desk, asked: tuple[str, str, str, tuple[str, ...]], kind: type[Exception], sentence: str
) -> None:
    fill_desk(desk, "AAA")
    desk.add(History("HOLE", LAST, [*random_closes(80, 1), None, *random_closes(6, 2)]))
    calendar, first, last, symbols = asked
    with pytest.raises(kind, match=sentence):
        backfill(desk.context, BackfillRequest(calendar, date.fromisoformat(first), date.fromisoformat(last), symbols))
    assert desk.rows(editions) == []
