"""The backfill job: forecasts published, scored and counted; forecasts on time are not changed."""

import shutil
from collections.abc import Iterable
from datetime import date
from math import log
from pathlib import Path
from typing import Any

import pytest

from service.api.forecasts.queries import ForecastQuery, read_editions
from service.cli.serve.forecast_output import forecast_document
from service.db.session import Database
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
from service.errors import CalendarError, NotFound, SettingsError, TplusError
from service.forecasts.backfill.span import BackfillRequest, check_span
from service.forecasts.backfill.summary import BackfilledEdition, read_backfilled
from service.forecasts.calibration.states import read_lineages
from service.forecasts.ledger import verify
from service.runs import Outcome, read_outcomes
from tests.support.backfill_factory import DAYS, LAST, add_network_of, backfilled, fill, fill_desk, served_by
from tests.support.forecast_factory import Desk, History, open_desk, random_closes, sessions_until, utc

WEDNESDAY, THURSDAY, FRIDAY, MONDAY, TUESDAY = DAYS[:5]


def rows_of(desk: Desk) -> dict[str, list[Any]]:
    return {table.name: desk.rows(table) for table in (editions, forecasts, served_forecasts, scores, model_versions)}


def publish_on_time(desk: Desk, as_of: date) -> None:
    """Publish an on-time edition of a session, in its evening."""
    desk.move(utc(as_of.year, as_of.month, as_of.day, 22))
    desk.forecast(as_of)
    desk.move(utc(2018, 6, 9, 12))


def test_sessions_computed_at_the_same_time_give_the_same_rows(tmp_path: Path, migrated_file: Path) -> None:
    found = []
    for at_a_time in (1, 3):
        shutil.copyfile(migrated_file, tmp_path / f"{at_a_time}.db")
        database = Database(f"sqlite:///{tmp_path}/{at_a_time}.db")
        try:
            desk = open_desk(database, tmp_path / str(at_a_time))
            fill_desk(desk, "AAA", "BBB")
            add_network_of(desk, "2018-05-31T21:30:00", "2018-06-01T12:00:00")
            desk.worker.at_a_time = at_a_time
            assert fill(desk, MONDAY, LAST).published == 8
            found.append(
                {
                    table.name: [{k: v for k, v in row._mapping.items() if not k.endswith("_at")} for row in rows]
                    for table in (forecasts, served_forecasts, scores, calibration_states)
                    for rows in [desk.rows(table)]
                }
            )
        finally:
            database.close()
    assert len(found[0]["forecasts"]) == 2 * 4 * 7  # a network of three steps, two random walks of one and three
    assert found[0] == found[1]


def test_each_session_is_one_edition_of_the_missing_forecasts_issued_now(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB")
    summary = fill(desk, date(2018, 6, 2), TUESDAY)  # a Saturday to a Tuesday
    assert (summary.first, summary.last, summary.sessions, summary.done_through) == (MONDAY, TUESDAY, 2, TUESDAY)
    (run,) = desk.rows(runs)
    with desk.database.reading() as connection:
        assert read_backfilled(connection, run.id) == [BackfilledEdition(MONDAY, 1), BackfilledEdition(TUESDAY, 2)]
        assert read_outcomes(connection, run.id) == (
            Outcome("AAA", "published", "2 sessions"), Outcome("BBB", "published", "2 sessions")
        )  # fmt: skip
    assert (run.state, run.counts, run.progress, run.scope) == ("done", {"published": 2}, None, "XNYS")
    assert run.parameters == {"first": "2018-06-02", "last": "2018-06-05", "symbols": []}
    assert (summary.published, summary.already_stored, summary.without_bar, summary.refused) == (4, 0, 0, {})
    rows = desk.rows(editions)
    assert {(row.mode, row.calendar, row.issued_at, row.run_id) for row in rows} == {
        ("backfill", "XNYS", utc(2018, 6, 9, 12), run.id)
    }
    stored = desk.rows(forecasts, as_of=TUESDAY, symbol="BBB", strategy="multi_step")
    assert [(row.step, row.target_session, row.revision) for row in stored] == [
        (1, date(2018, 6, 6), 1), (2, date(2018, 6, 7), 1), (3, date(2018, 6, 8), 1)
    ]  # fmt: skip
    assert {row.last_close for row in stored} == {random_closes(330, 2)[-4]}
    with desk.database.reading() as connection:
        assert verify(connection) == []


def test_a_repeated_backfill_publishes_nothing(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB")
    fill(desk, THURSDAY, MONDAY)
    before = rows_of(desk)
    summary = fill(desk, THURSDAY, MONDAY)
    assert (summary.published, summary.already_stored) == (0, 6)
    assert rows_of(desk) == before


def test_forecasts_on_time_stay_and_the_missing_ones_are_added(desk: Desk) -> None:
    fill_desk(desk, "AAA")
    publish_on_time(desk, FRIDAY)
    desk.add(History("BBB", LAST, random_closes(330, 2)))
    fill(desk, FRIDAY, FRIDAY)
    stored = {(row.edition, row.symbol) for row in desk.rows(forecasts)}
    assert stored == {(1, "AAA"), (2, "BBB")}


def test_only_the_requested_symbols_are_backfilled(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB", "CCC")
    fill(desk, FRIDAY, FRIDAY, "CCC", "AAA")
    assert {row.symbol for row in desk.rows(forecasts)} == {"AAA", "CCC"}


def test_a_session_is_backfilled_from_the_open_of_t_on(desk: Desk) -> None:
    fill_desk(desk)
    desk.move(utc(2018, 6, 4, 13, 29))  # New York opens at 13:30
    with pytest.raises(
        TplusError,
        match=r"XNYS has no session from 2018-06-01 to 2018-06-01 for a backfill: the newest one whose T has "
        r"opened is 2018-05-31; later ones are forecast on time",
    ):
        fill(desk, FRIDAY, FRIDAY)
    desk.move(utc(2018, 6, 4, 13, 30))
    summary = fill(desk, FRIDAY, LAST)
    assert (summary.first, summary.last, summary.sessions) == (FRIDAY, FRIDAY, 1)


def test_nothing_after_as_of_changes_a_backfill(desk: Desk) -> None:
    """Backfill one session for two symbols whose bars differ only after it."""
    closes = random_closes(330, 1)
    desk.add(History("AAA", LAST, closes))
    desk.add(History("TWIN", LAST, [*closes[:-6], *[9.0] * 6], group="twin"))
    desk.act("TWIN", MONDAY, "dividend", 3.0)
    desk.move(utc(2018, 6, 9, 12))
    fill(desk, WEDNESDAY, THURSDAY)
    names = [column.name for column in forecasts.c if column.name.startswith(("raw_", "q", "sigma", "last_close"))]

    def figures(symbol: str) -> list[tuple[float, ...]]:
        rows = sorted(desk.rows(forecasts, symbol=symbol), key=lambda row: (row.as_of, row.strategy, row.step))
        return [tuple(getattr(row, name) for name in names) for row in rows]

    assert len(figures("AAA")) == 8
    assert figures("AAA") == figures("TWIN")


def test_the_newest_answer_is_the_one_on_time(desk: Desk) -> None:
    fill_desk(desk, "AAA", "BBB")
    publish_on_time(desk, THURSDAY)
    desk.add(History("NEW", LAST, random_closes(330, 3)))
    fill(desk, WEDNESDAY, MONDAY)
    now = ForecastQuery(utc(2018, 6, 9, 12))
    with desk.database.reading() as connection:
        found = read_editions(connection, ["AAA", "BBB", "NEW"], now)
        requested = read_editions(connection, ["AAA"], ForecastQuery(now.known_at, MONDAY))
        earlier = read_editions(connection, ["AAA"], ForecastQuery(utc(2018, 6, 9, 11, 59), MONDAY))
    assert {symbol: (row.mode, row.as_of) for symbol, row in found.items()} == {
        "AAA": ("replay", THURSDAY), "BBB": ("replay", THURSDAY)
    }  # fmt: skip
    assert [row.mode for row in requested.values()] == ["backfill"]
    assert earlier == {}  # it was not issued yet


def test_final_forecasts_are_scored_in_the_publishing_transaction(desk: Desk) -> None:
    closes = random_closes(330, 1)
    fill_desk(desk)
    fill(desk, date(2018, 2, 1), date(2018, 2, 1))
    (first, *_) = desk.rows(forecasts, strategy="multi_step")
    place = sessions_until(LAST, 330).index(date(2018, 2, 1))
    actual = {row.forecast_id: row.actual for row in desk.rows(scores)}
    assert len(actual) == 4
    assert actual[first.id] == pytest.approx(log(closes[place + 1] / closes[place]), abs=1e-13)


def test_a_dividend_up_to_the_target_counts_and_a_later_one_does_not(desk: Desk) -> None:
    desk.add(History("AAA", LAST, [100.0] * 330))
    desk.act("AAA", MONDAY, "dividend", 5.0)
    desk.act("AAA", LAST, "dividend", 20.0)
    desk.move(utc(2018, 6, 9, 12))
    fill(desk, THURSDAY, THURSDAY)
    steps = {row.id: row.step for row in desk.rows(forecasts, strategy="multi_step")}
    actual = {steps[row.forecast_id]: row.actual for row in desk.rows(scores) if row.forecast_id in steps}
    assert actual == pytest.approx({1: 0.0, 2: -log(0.95), 3: -log(0.95)}, abs=1e-13)


def test_a_target_without_a_bar_is_void_immediately_if_none_can_arrive(desk: Desk) -> None:
    closes: list[float | None] = [*random_closes(330, 1)]
    closes[-7] = None  # Thursday's, with Friday to the next Friday after it
    desk.add(History("AAA", LAST, closes))
    desk.move(utc(2018, 6, 9, 12))
    fill(desk, WEDNESDAY, WEDNESDAY)
    steps = {row.id: row.step for row in desk.rows(forecasts, strategy="multi_step")}
    states = {steps[row.forecast_id]: row.state for row in desk.rows(scores) if row.forecast_id in steps}
    assert states == {1: "void", 2: "scored", 3: "scored"}


def counts_by_step(desk: Desk, mode: str) -> dict[tuple[str, int], int]:
    rows = desk.rows(track_records, mode=mode, scope="AAA", forecaster="served")
    return {(row.strategy, row.step): row.n for row in rows}


def test_backfills_have_a_track_record_of_their_own(desk: Desk) -> None:
    fill_desk(desk)
    publish_on_time(desk, THURSDAY)
    desk.score(LAST)
    before = desk.rows(track_records)
    states = desk.rows(calibration_states)
    fill(desk, date(2018, 5, 1), LAST)
    assert [row for row in desk.rows(track_records) if row.mode == "replay"] == before
    assert counts_by_step(desk, "replay") == {
        ("one_step", 1): 1,
        ("multi_step", 1): 1,
        ("multi_step", 2): 1,
        ("multi_step", 3): 1,
    }
    # 27 sessions from 1 May to 7 June, the newest whose T has opened is 7 June; one of them was on time.
    assert counts_by_step(desk, "backfill") == {
        ("one_step", 1): 26, ("multi_step", 1): 26, ("multi_step", 2): 25, ("multi_step", 3): 24
    }  # fmt: skip
    assert desk.rows(calibration_states) == states


def test_steps_that_close_later_are_scored_by_the_score_job(desk: Desk) -> None:
    fill_desk(desk)
    desk.move(utc(2018, 6, 6, 12))
    fill(desk, MONDAY, MONDAY)
    assert counts_by_step(desk, "backfill") == {("one_step", 1): 1, ("multi_step", 1): 1}
    learned = desk.rows(calibration_states)
    desk.move(utc(2018, 6, 9, 12))
    desk.score(LAST)
    assert counts_by_step(desk, "backfill") == {
        ("one_step", 1): 1, ("multi_step", 1): 1, ("multi_step", 2): 1, ("multi_step", 3): 1
    }  # fmt: skip
    assert counts_by_step(desk, "replay") == {}
    assert desk.rows(calibration_states) == learned == []


def test_the_substitute_random_walk_shares_no_calibration_state(desk: Desk) -> None:
    fill_desk(desk)
    publish_on_time(desk, THURSDAY)
    fill(desk, WEDNESDAY, WEDNESDAY)
    served = desk.rows(served_forecasts, edition=1)[0].model_version_id
    substitute = served_by(desk)[WEDNESDAY][0]
    with desk.database.reading() as connection:
        lineages = read_lineages(connection, [served, substitute])
    assert substitute not in lineages[served].versions
    assert substitute in lineages[substitute].versions


def test_a_backfilled_session_stays_missed(desk: Desk) -> None:
    """A late run finds the session backfilled: the forecast on time was still missed."""
    fill_desk(desk)
    fill(desk, FRIDAY, FRIDAY)
    outcome = desk.forecast(FRIDAY)["AAA"]
    assert (outcome.state, len(desk.rows(editions))) == ("missed", 1)
    (run,) = desk.rows(runs, job="forecast")
    (document,) = forecast_document(desk.context, [run.id], ())["forecasts"]
    assert (document["state"], "multi_step" in document) == ("missed", False)


def test_two_concurrent_backfills_publish_each_forecast_once(desk: Desk) -> None:
    fill_desk(desk)

    def overtake() -> None:
        desk.worker.meanwhile = None
        fill(desk, THURSDAY, date(2018, 6, 2))  # a Saturday: the same sessions, by another run

    desk.worker.meanwhile = overtake
    summary = fill(desk, THURSDAY, FRIDAY)
    assert (summary.published, summary.already_stored) == (0, 1)
    assert [(row.number, row.as_of) for row in desk.rows(editions)] == [(1, THURSDAY), (2, FRIDAY)]
    assert len(desk.rows(model_versions)) == 2  # one random walk of each strategy for both


def test_a_short_history_is_refused_with_its_reason(desk: Desk) -> None:
    fill_desk(desk, "AAA")
    desk.add(History("NEW", LAST, random_closes(65, 2)))
    summary = fill(desk, WEDNESDAY, TUESDAY)
    refused = summary.refused["NEW"]
    assert (refused.sessions, summary.published) == (2, 8)
    assert refused.reason.startswith("NEW: it has 59 bars in the 245 sessions up to 2018-05-31")


def test_an_unscheduled_closure_is_skipped(desk: Desk) -> None:
    fill_desk(desk)
    desk.close_session("XNYS", FRIDAY)
    summary = fill(desk, THURSDAY, MONDAY)
    assert (summary.first, summary.last, summary.sessions) == (THURSDAY, MONDAY, 2)
    (first, *_) = desk.rows(forecasts, as_of=THURSDAY)
    assert first.target_session == MONDAY


def test_a_backfill_raises_the_change_counters(desk: Desk) -> None:
    fill_desk(desk)
    fill(desk, THURSDAY, THURSDAY)
    assert {row.scope for row in desk.rows(change_counters)} >= {"", "AAA"}


def request(calendar: str, first: str, last: str, *symbols: str) -> BackfillRequest:
    return BackfillRequest(calendar, date.fromisoformat(first), date.fromisoformat(last), symbols)


def impossible_requests() -> Iterable[tuple[BackfillRequest, type[Exception], str]]:
    yield request("MARS", "2018-05-01", "2018-05-31"), CalendarError, "there is no calendar named 'MARS'; use"
    yield request("XNYS", "2018-05-31", "2018-05-01"), SettingsError, "--from 2018-05-31 is after --to 2018-05-01"
    yield request("XNYS", "2019-05-01", "2019-05-31"), SettingsError, "the newest one whose T has opened is 2018-06-07"
    yield request("XNYS", "2018-06-02", "2018-06-03"), SettingsError, "the market was closed; use a longer range"
    yield (
        request("XNYS", "2001-01-02", "2001-12-31"),
        SettingsError,
        "the first bar is of 2017-02-16; use a later range",
    )
    yield request("XTKS", "2018-05-01", "2018-05-31"), NotFound, "no symbol of the watchlist trades on XTKS; see"
    yield (
        request("XNYS", "2018-05-01", "2018-05-31", "AAA", "ZZZ"),
        NotFound,
        "^ZZZ: not among the watchlist's symbols of",
    )
    yield (
        request("XNYS", "2018-05-31", "2018-05-31", "HOLE"),
        TplusError,
        "HOLE: no bar of any session from 2018-05-31 to",
    )


@pytest.mark.parametrize(("impossible", "kind", "message"), list(impossible_requests()))
def test_an_impossible_request_is_refused_with_the_reason(
    desk: Desk, impossible: BackfillRequest, kind: type[Exception], message: str
) -> None:
    fill_desk(desk, "AAA")
    desk.add(History("HOLE", LAST, [*random_closes(80, 1), None, *random_closes(6, 2)]))
    if kind is not TplusError:  # else the run finds that no session has a bar
        with pytest.raises(kind, match=message):
            check_span(desk.context, impossible, utc(2018, 6, 9, 12))
    with pytest.raises(TplusError, match=message):
        backfilled(desk, impossible)
    assert desk.rows(editions) == []
