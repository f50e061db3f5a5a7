"""The forecast job: publishes before T opens, in several editions if bars are late."""

from datetime import date

import pytest
from sqlalchemy import update

from models.config import Strategy
from service.db.tables import editions, forecasts, instruments, model_versions, runs, served_forecasts
from service.errors import FencedError
from service.forecasts.forecast_job import forecast
from service.forecasts.ledger import verify
from tests.support.forecast_factory import Desk, History, random_closes, utc

AS_OF, T, T1, T2 = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4), date(2018, 6, 5)
EVENING, OPEN = utc(2018, 5, 31, 22), utc(2018, 6, 1, 13, 30)
MISSED = (
    "T (2018-06-01) opened before this could be issued (on time until 2018-06-01T13:30:00Z); "
    "the next forecast is due 2018-06-01T21:30:00Z"
)


def faults(desk: Desk) -> list[str]:
    with desk.database.reading() as connection:
        return verify(connection)


def test_the_first_forecast_is_served_by_the_random_walk(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(EVENING)
    outcomes = desk.forecast(AS_OF)
    assert {symbol: outcome.state for symbol, outcome in outcomes.items()} == {"AAA": "forecast"}
    (edition,) = desk.rows(editions)
    assert (edition.number, edition.mode, edition.calendar, edition.as_of) == (1, "replay", "XNYS", AS_OF)
    assert edition.issued_at == EVENING
    stored = desk.rows(forecasts)
    assert [(row.strategy, row.step, row.target_session) for row in stored] == [
        ("multi_step", 1, T), ("multi_step", 2, T1), ("multi_step", 3, T2), ("one_step", 1, T),
    ]  # fmt: skip
    assert {row.revision for row in stored} == {1}
    assert desk.served(1) == {
        ("AAA", "one_step"): ("random_walk", "the random walk serves until a network is trained and accepted"),
        ("AAA", "multi_step"): ("random_walk", "the random walk serves until a network is trained and accepted"),
    }
    assert faults(desk) == []


def test_the_summary_holds_the_prices_of_the_served_forecasts(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.add_network(Strategy.ONE_STEP, "challenger")
    desk.move(EVENING)
    desk.forecast(AS_OF)
    (summary,) = desk.reporter.editions
    assert (summary.number, summary.as_of, summary.issued_at) == (1, AS_OF, EVENING)
    assert [(step.strategy, step.step) for step in summary.steps] == [
        ("multi_step", 1), ("multi_step", 2), ("multi_step", 3), ("one_step", 1),
    ]  # fmt: skip
    assert {step.served_by for step in summary.steps} == {"random_walk"}
    assert all(step.low < step.point == step.last_close < step.high for step in summary.steps)


def test_at_the_open_of_t_the_forecast_is_missed(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(OPEN)
    outcomes = desk.forecast(AS_OF)
    assert (outcomes["AAA"].state, outcomes["AAA"].reason) == ("missed", MISSED)
    assert desk.rows(editions) == []
    assert [run.state for run in desk.rows(runs)] == ["done"]


def test_a_second_before_the_open_is_on_time(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(OPEN.replace(minute=29, second=59))
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"


def test_a_forecast_is_missed_if_t_opens_during_the_computation(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(EVENING)
    desk.worker.meanwhile = lambda: desk.move(OPEN)
    outcomes = desk.forecast(AS_OF)
    assert (outcomes["AAA"].state, outcomes["AAA"].reason) == ("missed", MISSED)
    assert (desk.rows(editions), desk.rows(forecasts), desk.rows(served_forecasts)) == ([], [], [])
    assert desk.reporter.editions == []


def test_issued_at_is_the_market_time_of_the_publication(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(EVENING)
    desk.worker.meanwhile = lambda: desk.move(utc(2018, 6, 1, 3))
    desk.forecast(AS_OF)
    assert [row.issued_at for row in desk.rows(editions)] == [utc(2018, 6, 1, 3)]


def test_a_worker_whose_run_was_taken_over_publishes_nothing(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.add_walk(Strategy.ONE_STEP)
    desk.add_walk(Strategy.MULTI_STEP)
    desk.move(EVENING)
    run = desk.run("forecast", AS_OF)

    def take_over() -> None:
        with desk.database.transaction() as connection:
            connection.execute(runs.update().values(token=run.token + 1))

    desk.worker.meanwhile = take_over
    with pytest.raises(FencedError, match="taken over by another worker"):
        forecast(desk.context, run)
    assert desk.rows(editions) == []


def test_a_late_bar_is_published_in_a_further_edition(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.add(History("LATE", AS_OF, [*random_closes(80, 2), None]))
    desk.move(EVENING)
    first = desk.forecast(AS_OF)
    assert first["AAA"].state == "forecast"
    assert (first["LATE"].state, first["LATE"].reason) == ("waiting", "no bar of 2018-05-31 yet")
    (run,) = desk.rows(runs)
    assert (run.state, run.wait_until) == ("waiting", utc(2018, 5, 31, 23))
    desk.put("LATE", {AS_OF: 51.0})
    desk.move(utc(2018, 5, 31, 23))
    second = desk.forecast(AS_OF)
    assert {symbol: outcome.state for symbol, outcome in second.items()} == {"AAA": "forecast", "LATE": "forecast"}
    assert [run.state for run in desk.rows(runs)] == ["done"]
    assert [(row.number, row.issued_at) for row in desk.rows(editions)] == [
        (1, EVENING), (2, utc(2018, 5, 31, 23)),
    ]  # fmt: skip
    symbols = {row.edition: row.symbol for row in desk.rows(forecasts)}
    assert symbols == {1: "AAA", 2: "LATE"}
    assert faults(desk) == []


def test_a_symbol_without_a_bar_is_missed_when_t_opens(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.add(History("LATE", AS_OF, [*random_closes(80, 2), None]))
    desk.move(utc(2018, 6, 1, 13))
    desk.forecast(AS_OF)
    assert [run.wait_until for run in desk.rows(runs)] == [OPEN]
    desk.put("LATE", {AS_OF: 51.0})
    desk.move(OPEN)
    outcomes = desk.forecast(AS_OF)
    assert outcomes["LATE"].state == "missed"
    assert outcomes["LATE"].reason == f"no bar of {AS_OF} before T (2018-06-01) opened"
    assert outcomes["AAA"].state == "forecast"
    assert len(desk.rows(editions)) == 1


def test_the_reason_of_a_missing_bar_includes_the_state_of_the_symbol(desk: Desk) -> None:
    desk.add(History("LATE", AS_OF, [*random_closes(80, 2), None]))
    with desk.database.transaction() as connection:
        connection.execute(update(instruments).values(state="failing", state_reason="LATE: its record ends in 2017"))
    desk.move(utc(2018, 6, 1, 13))
    assert desk.forecast(AS_OF)["LATE"].state == "waiting"
    desk.move(OPEN)
    outcome = desk.forecast(AS_OF)["LATE"]
    assert outcome.state == "missed"
    assert outcome.reason == f"no bar of {AS_OF} before T (2018-06-01) opened; LATE: its record ends in 2017"


def test_too_little_history_is_refused_with_the_reason(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.add(History("NEW", AS_OF, random_closes(59, 2)))
    desk.move(EVENING)
    outcome = desk.forecast(AS_OF)["NEW"]
    assert outcome.state == "refused"
    assert outcome.reason == (
        "it has 59 bars in the 245 sessions up to 2018-05-31; 60 are needed, some of them on neighbouring sessions"
    )
    assert {row.symbol for row in desk.rows(forecasts)} == {"AAA"}
    assert [run.state for run in desk.rows(runs)] == ["done"]


def test_a_refused_symbol_stays_refused_while_another_one_waits(desk: Desk) -> None:
    desk.add(History("NEW", AS_OF, random_closes(59, 2)))
    desk.add(History("LATE", AS_OF, [*random_closes(80, 2), None]))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    desk.move(OPEN)
    outcomes = desk.forecast(AS_OF)
    assert {symbol: outcome.state for symbol, outcome in outcomes.items()} == {"LATE": "missed", "NEW": "refused"}


def test_a_corrected_bar_gives_a_new_revision_of_that_symbol_alone(desk: Desk) -> None:
    closes = random_closes(80, 1)
    desk.add(History("AAA", AS_OF, closes))
    desk.add(History("BBB", AS_OF, random_closes(80, 2)))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    desk.correct("AAA", AS_OF, 77.0)
    desk.move(utc(2018, 6, 1, 9))
    outcomes = desk.forecast(AS_OF, sequence=1)
    assert {symbol: outcome.state for symbol, outcome in outcomes.items()} == {"AAA": "forecast"}
    stored = desk.rows(forecasts, symbol="AAA")
    assert {(row.edition, row.revision, row.last_close) for row in stored} == {(1, 1, closes[-1]), (2, 2, 77.0)}
    assert {row.revision for row in desk.rows(forecasts, symbol="BBB")} == {1}
    assert [row.number for row in desk.rows(editions)] == [1, 2]
    assert faults(desk) == []


def test_a_correction_after_the_open_changes_nothing(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    desk.correct("AAA", AS_OF, 77.0)
    desk.move(OPEN)
    assert desk.forecast(AS_OF, sequence=1) == {}
    assert len(desk.rows(editions)) == 1


def test_a_repeated_run_publishes_nothing(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    desk.forecast(AS_OF, sequence=1)
    assert len(desk.rows(editions)) == 1
    assert len(desk.rows(model_versions)) == 2


def test_two_groups_of_a_calendar_share_an_edition(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(80, 1)))
    desk.add(History("IDX", AS_OF, random_closes(80, 2), group="other"))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    assert {row.symbol for row in desk.rows(served_forecasts, edition=1)} == {"AAA", "IDX"}
    assert {(row.group, row.strategy) for row in desk.rows(model_versions)} == {
        ("equity", "one_step"), ("equity", "multi_step"), ("other", "one_step"), ("other", "multi_step"),
    }  # fmt: skip


@pytest.mark.parametrize(("hour", "state"), [(3, "forecast"), (4, "missed")])
def test_a_continuous_calendar_has_settle_and_grace_after_the_open(desk: Desk, hour: int, state: str) -> None:
    saturday = date(2018, 6, 2)
    desk.add(History("BTC-USD", saturday, random_closes(80, 1), calendar="24/7", group="crypto"))
    desk.move(utc(2018, 6, 3, hour, 59 if hour == 3 else 0))
    assert desk.forecast(saturday, "24/7")["BTC-USD"].state == state
    if state == "forecast":
        targets = [row.target_session for row in desk.rows(forecasts, strategy="multi_step")]
        assert targets == [date(2018, 6, 3), date(2018, 6, 4), date(2018, 6, 5)]


def test_friday_is_followed_by_monday_and_a_holiday_is_skipped(desk: Desk) -> None:
    friday = date(2018, 5, 25)
    desk.add(History("AAA", friday, random_closes(80, 1)))
    desk.move(utc(2018, 5, 25, 22))
    desk.forecast(friday)
    targets = [row.target_session for row in desk.rows(forecasts, strategy="multi_step")]
    assert targets == [date(2018, 5, 29), date(2018, 5, 30), date(2018, 5, 31)]  # Monday was Memorial Day
