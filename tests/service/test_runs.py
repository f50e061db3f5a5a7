"""Runs: unique, claimed in order, fenced, retried."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Row, select

from service import runs
from service.db.session import Database
from service.db.tables import runs as table
from service.errors import FencedError
from service.runs import Claimant, Outcome, PlannedRun, Run

MONDAY, TUESDAY = date(2024, 3, 4), date(2024, 3, 5)
MARKET = datetime(2024, 3, 5, 22, 30, tzinfo=UTC)
MACHINE = datetime(2030, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


def planned(job: str, session: date = MONDAY, scope: str = "XNYS", **values: object) -> PlannedRun:
    instant = datetime(session.year, session.month, session.day, 22, 30, tzinfo=UTC)
    return PlannedRun(job, scope, instant, session, **values)  # type: ignore[arg-type]


def plan(database: Database, *new_runs: PlannedRun) -> int:
    with database.transaction() as connection:
        return runs.plan(connection, new_runs)


def claim(
    database: Database, machine: datetime = MACHINE, market: datetime = MARKET, jobs: tuple[str, ...] = runs.JOBS
) -> Run | None:
    with database.transaction() as connection:
        return runs.claim(connection, Claimant("me", jobs, LEASE), market, machine)


def claimed(database: Database, machine: datetime = MACHINE) -> Run:
    run = claim(database, machine)
    assert run is not None
    return run


def finish(database: Database, run: Run, error: str | None = None) -> None:
    with database.transaction() as connection:
        runs.finish(connection, run, MACHINE, counts={"ok": 1}, error=error)


def busy(database: Database) -> bool:
    with database.reading() as connection:
        return runs.is_busy(connection)


def row(database: Database, run_id: int = 1) -> Row[tuple[object, ...]]:
    with database.reading() as connection:
        return connection.execute(select(table).where(table.c.id == run_id)).one()


def test_a_run_is_planned_once_by_its_key(database: Database) -> None:
    assert plan(database, planned("pull"), planned("pull"), planned("pull", sequence=1)) == 2
    assert plan(database, planned("pull"), planned("pull", TUESDAY), planned("score")) == 2


def test_the_jobs_of_a_calendar_are_claimed_in_order_one_at_a_time(database: Database) -> None:
    plan(database, planned("forecast"), planned("train", scope="equity"), planned("score"), planned("pull"))
    order = []
    while (run := claim(database)) is not None:
        order.append(run.job)
        assert claim(database) is None, "a later job was claimed while an earlier one was running"
        finish(database, run)
    assert order == ["pull", "score", "forecast", "train"]


def test_runs_are_claimed_by_scheduled_time_across_calendars(database: Database) -> None:
    plan(database, planned("pull", TUESDAY), planned("pull", TUESDAY, scope="XTKS"), planned("forecast"))
    order = []
    while (run := claim(database)) is not None:
        order.append((run.job, run.scope, run.session))
    # The calendar's own Tuesday waits for its Monday; another calendar does not.
    assert order == [("forecast", "XNYS", MONDAY), ("pull", "XTKS", TUESDAY)]


def test_a_training_waits_for_every_calendar_and_blocks_none(database: Database) -> None:
    plan(database, planned("forecast", scope="XTKS"), planned("train", TUESDAY, scope="equity"))
    running = claimed(database)
    assert running.job == "forecast"
    assert claim(database) is None
    finish(database, running)
    training = claimed(database)
    assert training.job == "train"
    plan(database, planned("pull", TUESDAY))
    assert claimed(database).job == "pull"


def test_trainings_do_not_wait_for_each_other(database: Database) -> None:
    plan(database, planned("train", scope="equity"), planned("train", TUESDAY, scope="crypto"))
    assert (claimed(database).scope, claimed(database).scope) == ("equity", "crypto")


def test_runs_of_one_instant_are_claimed_by_job_and_then_by_sequence(database: Database) -> None:
    plan(database, planned("score"), planned("pull", scope="XTKS", sequence=1), planned("pull", scope="XTKS"))
    order = []
    while (run := claim(database)) is not None:
        order.append((run.job, run.sequence))
        finish(database, run)
    assert order == [("pull", 0), ("pull", 1), ("score", 0)]


def test_a_claim_returns_the_run_and_keeps_its_first_start(database: Database) -> None:
    plan(database, planned("pull", sequence=2))
    assert claimed(database) == Run(
        1, "pull", "XNYS", datetime(2024, 3, 4, 22, 30, tzinfo=UTC), MONDAY, sequence=2, attempt=1, token=1
    )
    assert row(database).started_at == MACHINE
    claimed(database, MACHINE + timedelta(minutes=1))
    assert row(database).started_at == MACHINE


def test_a_superseded_run_is_never_claimed(database: Database) -> None:
    plan(database, planned("pull", superseded=True))
    assert claim(database) is None
    assert row(database).state == "superseded"
    assert not busy(database)


def test_only_the_jobs_of_the_claimant_are_claimed(database: Database) -> None:
    plan(database, planned("pull"))
    assert claim(database, jobs=("train",)) is None


def test_due_runs_of_jobs_that_the_claimant_does_not_execute_block_nothing(database: Database) -> None:
    plan(database, planned("pull"), planned("forecast"))
    found = claim(database, jobs=("forecast",))
    assert found is not None
    assert found.job == "forecast"


def test_running_runs_of_jobs_that_the_claimant_does_not_execute_block_later_ones(database: Database) -> None:
    plan(database, planned("pull"), planned("forecast"))
    assert claimed(database).job == "pull"
    assert claim(database, jobs=("forecast",)) is None


def test_a_run_is_taken_over_when_its_lease_expires(database: Database) -> None:
    plan(database, planned("pull"))
    first = claimed(database)
    assert claim(database, MACHINE + timedelta(seconds=29)) is None
    second = claimed(database, MACHINE + timedelta(seconds=30))
    assert (first.token, second.token) == (1, 2)
    assert (first.attempt, second.attempt) == (1, 1)


def test_takeovers_use_no_attempt_and_are_counted_apart(database: Database) -> None:
    plan(database, planned("pull"))
    seen = []
    for minute in range(4):  # the worker is killed three times
        run = claimed(database, MACHINE + timedelta(minutes=minute))
        seen.append((run.attempt, run.token, run.lost_workers))
    assert seen == [(1, 1, 0), (1, 2, 1), (1, 3, 2), (1, 4, 3)]
    with database.transaction() as connection:
        runs.retry(connection, run, MACHINE, "the source was down")
    assert row(database).lost_workers == 0
    again = claimed(database, MACHINE + timedelta(minutes=5))
    assert (again.attempt, again.lost_workers) == (2, 0)
    assert (row(database).takeovers, row(database).faults) == (3, 0)


@pytest.mark.parametrize("way", ["wait", "retry", "uncounted", "release"])
def test_a_worker_that_survives_ends_the_succession_of_lost_ones(database: Database, way: str) -> None:
    plan(database, planned("pull"))
    claimed(database)
    run = claimed(database, MACHINE + timedelta(minutes=1))
    assert (run.lost_workers, row(database).lost_workers) == (1, 1)
    with database.transaction() as connection:
        if way == "wait":
            runs.wait(connection, run, MARKET, {})
        elif way == "release":
            runs.release(connection, run)
        else:
            runs.retry(connection, run, MACHINE, "late", counted=way == "retry")
    assert (row(database).lost_workers, row(database).takeovers) == (0, 1)
    assert claimed(database, MACHINE + timedelta(minutes=2)).lost_workers == 0


def test_a_waiting_run_that_is_taken_over_keeps_its_attempt(database: Database) -> None:
    plan(database, planned("pull"))
    with database.transaction() as connection:
        runs.wait(connection, runs.claim(connection, Claimant("me", runs.JOBS, LEASE), MARKET, MACHINE), MARKET, {})  # type: ignore[arg-type]
    assert claimed(database).attempt == 1
    assert claimed(database, MACHINE + timedelta(minutes=1)).attempt == 1


def test_faults_are_counted_apart_from_takeovers(database: Database) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    with database.transaction() as connection:
        runs.retry(connection, run, MACHINE, "the disk is full", counted=False)
    assert (row(database).faults, row(database).takeovers, row(database).attempt) == (1, 0, 0)


def test_a_later_sequence_waits_for_the_earlier(database: Database) -> None:
    plan(database, planned("forecast"), planned("forecast", sequence=1), planned("forecast", sequence=2))
    order = []
    while (run := claim(database)) is not None:
        order.append(run.sequence)
        assert claim(database) is None, "two runs of one instant were claimed together"
        finish(database, run)
    assert order == [0, 1, 2]


def test_a_later_sequence_waits_for_the_retry_of_the_earlier(database: Database) -> None:
    plan(database, planned("forecast"), planned("forecast", sequence=1))
    run = claimed(database)
    with database.transaction() as connection:
        runs.retry(connection, run, MACHINE + timedelta(seconds=20), "late")
    assert claim(database, MACHINE + timedelta(seconds=19)) is None
    assert claimed(database, MACHINE + timedelta(seconds=20)).sequence == 0


def test_sequences_of_other_scopes_and_sessions_do_not_wait(database: Database) -> None:
    plan(database, planned("forecast"), planned("forecast", scope="XTKS", sequence=1))
    assert (claimed(database).scope, claimed(database).scope) == ("XNYS", "XTKS")


def test_a_later_sequence_overtakes_a_waiting_run_which_then_waits_for_it(database: Database) -> None:
    plan(database, planned("forecast"), planned("forecast", sequence=1))
    with database.transaction() as connection:
        first = runs.claim(connection, Claimant("me", runs.JOBS, LEASE), MARKET, MACHINE)
        assert first is not None
        runs.wait(connection, first, MARKET + timedelta(hours=1), {})
    later = claimed(database)
    assert later.sequence == 1
    assert claim(database, MACHINE, MARKET + timedelta(hours=1)) is None, "both would forecast the same symbols"
    finish(database, later)
    again = claim(database, MACHINE, MARKET + timedelta(hours=1))
    assert again is not None
    assert again.sequence == 0


def test_two_sequences_whose_workers_died_together_are_both_taken_over(database: Database) -> None:
    """Versions before 1011 could claim both at once: neither may wait for the other for ever."""
    plan(database, planned("forecast"), planned("forecast", sequence=1))
    with database.transaction() as connection:
        values = {"state": "running", "lease_until": MACHINE, "token": 1, "attempt": 1}
        connection.execute(table.update().values(values))
    first = claimed(database, MACHINE + timedelta(minutes=1))
    assert first.sequence == 0
    assert claim(database, MACHINE + timedelta(minutes=1)) is None
    finish(database, first)
    assert claimed(database, MACHINE + timedelta(minutes=1)).sequence == 1


def test_a_heartbeat_extends_the_lease(database: Database) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    with database.transaction() as connection:
        runs.heartbeat(connection, run, MACHINE + timedelta(seconds=50))
    assert claim(database, MACHINE + timedelta(seconds=49)) is None
    assert claimed(database, MACHINE + timedelta(seconds=50)).token == 2


def test_a_fenced_worker_cannot_publish_and_writes_nothing(database: Database) -> None:
    plan(database, planned("pull"))
    stale = claimed(database)
    claimed(database, MACHINE + timedelta(minutes=1))

    def publish() -> None:
        with database.transaction() as connection:
            runs.record_outcomes(connection, stale, [Outcome("AAPL", "ok")])
            runs.guard(connection, stale)

    sentence = r"^run 1 \(pull XNYS 2024-03-04\) was taken over by another worker; its result is discarded$"
    with pytest.raises(FencedError, match=sentence):
        publish()
    with database.reading() as connection:
        assert runs.read_outcomes(connection, stale.id) == ()


@pytest.mark.parametrize("operation", ["finish", "wait", "retry", "release", "heartbeat"])
def test_every_operation_on_a_run_is_fenced(database: Database, operation: str) -> None:
    plan(database, planned("pull"))
    stale = claimed(database)
    claimed(database, MACHINE + timedelta(minutes=1))
    before = row(database)

    def end() -> None:
        with database.transaction() as connection:
            if operation == "finish":
                runs.finish(connection, stale, MACHINE, counts={})
            elif operation == "wait":
                runs.wait(connection, stale, MARKET, {})
            elif operation == "retry":
                runs.retry(connection, stale, MACHINE, "late")
            elif operation == "release":
                runs.release(connection, stale)
            else:
                runs.heartbeat(connection, stale, MACHINE)

    with pytest.raises(FencedError):
        end()
    assert row(database) == before


def test_a_finished_run_cannot_be_finished_again(database: Database) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    finish(database, run)
    with pytest.raises(FencedError):
        finish(database, run)
    assert claim(database, MACHINE + timedelta(days=1)) is None


def test_a_run_that_has_ended_is_fenced_while_another_holds_the_same_token(database: Database) -> None:
    plan(database, planned("pull"), planned("pull", scope="XTKS"))
    first, second = claimed(database), claimed(database)
    assert first.token == second.token
    finish(database, first)
    with pytest.raises(FencedError):
        finish(database, first)
    assert row(database, second.id).state == "running"


def test_due_and_running_runs_stop_market_time_and_waiting_ones_do_not(database: Database) -> None:
    plan(database, planned("pull"))
    assert busy(database)
    run = claimed(database)
    assert busy(database)
    with database.transaction() as connection:
        runs.wait(connection, run, MARKET + timedelta(hours=1), {"no_bar": 1})
    assert not busy(database)


def test_is_busy_can_be_limited_to_some_jobs(database: Database) -> None:
    plan(database, planned("pull"))
    with database.reading() as connection:
        assert runs.is_busy(connection, ("score", "pull"))
        assert not runs.is_busy(connection, ("score", "train"))


def test_a_waiting_run_is_claimed_by_market_time_with_the_same_attempt(database: Database) -> None:
    plan(database, planned("pull"))
    with database.transaction() as connection:
        run = runs.claim(connection, Claimant("me", runs.JOBS, LEASE), MARKET, MACHINE)
        assert run is not None
        runs.wait(connection, run, MARKET + timedelta(hours=1), {})
    assert claim(database, MACHINE + timedelta(days=9), MARKET + timedelta(minutes=59)) is None
    again = claim(database, MACHINE, MARKET + timedelta(hours=1))
    assert again is not None
    assert (again.attempt, again.token) == (1, 2)


def test_a_waiting_pull_does_not_block_the_forecast(database: Database) -> None:
    plan(database, planned("pull"), planned("forecast"))
    run = claimed(database)
    with database.transaction() as connection:
        runs.wait(connection, run, MARKET + timedelta(hours=1), {})
    assert claimed(database).job == "forecast"


def test_a_retry_waits_for_machine_time(database: Database) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    with database.transaction() as connection:
        runs.retry(connection, run, MACHINE + timedelta(seconds=20), "the source was down")
    assert busy(database)
    assert claim(database, MACHINE + timedelta(seconds=19), MARKET + timedelta(days=30)) is None
    again = claimed(database, MACHINE + timedelta(seconds=20))
    assert (again.attempt, row(database).error) == (2, "the source was down")


def test_later_jobs_wait_while_an_earlier_one_waits_for_its_retry(database: Database) -> None:
    plan(database, planned("pull"), planned("forecast"))
    run = claimed(database)
    with database.transaction() as connection:
        runs.retry(connection, run, MACHINE + timedelta(seconds=20), "the source was down")
    assert claim(database, MACHINE + timedelta(seconds=19)) is None
    assert claimed(database, MACHINE + timedelta(seconds=20)).job == "pull"


def test_an_uncounted_retry_keeps_the_number_of_attempts(database: Database) -> None:
    plan(database, planned("pull"))
    attempts = []
    for counted in (False, True, True, False, False):
        run = claimed(database)
        attempts.append(run.attempt)
        with database.transaction() as connection:
            runs.retry(connection, run, MACHINE, "the source requested a pause", counted=counted)
    assert attempts == [1, 1, 2, 3, 3]
    assert row(database).attempt == 2


def test_a_release_does_not_count_the_attempt(database: Database) -> None:
    plan(database, planned("pull"))
    for attempt in (1, 2):
        run = claimed(database)
        assert run.attempt == attempt
        with database.transaction() as connection:
            runs.retry(connection, run, MACHINE, "late")
    run = claimed(database)
    with database.transaction() as connection:
        runs.release(connection, run)
    assert (run.attempt, claimed(database).attempt) == (3, 3)


def test_progress_has_columns_of_its_own_and_can_be_cleared(database: Database) -> None:
    plan(database, planned("pull"), planned("pull", scope="XTKS"))
    run, other = claimed(database), claimed(database)
    with database.transaction() as connection:
        runs.wait(connection, run, MARKET, {"ok": 3})
    run = claimed(database)

    def store(fraction: float | None, detail: str | None = None) -> tuple[object, ...]:
        with database.transaction() as connection:
            runs.store_progress(connection, run, fraction, detail)
        stored = row(database, run.id)
        return stored.progress, stored.progress_detail, stored.counts

    assert store(0.12345, "fold 1") == (0.123, "fold 1", {"ok": 3})
    assert store(0.5) == (0.5, None, {"ok": 3})
    assert store(None, "nothing") == (None, None, {"ok": 3})
    assert row(database, other.id).progress is None
    claimed(database, MACHINE + timedelta(minutes=1))
    with pytest.raises(FencedError):
        store(0.6)


def test_a_released_run_keeps_its_attempt_and_is_due_immediately(database: Database) -> None:
    plan(database, planned("pull"))
    with database.transaction() as connection:
        run = runs.claim(connection, Claimant("me", runs.JOBS, LEASE), MARKET, MACHINE)
        assert run is not None
        runs.release(connection, run)
    again = claimed(database)
    assert (again.attempt, again.token) == (1, 2)


def test_the_end_of_a_run_is_stored_with_counts_and_error(database: Database) -> None:
    plan(database, planned("pull"), planned("pull", TUESDAY))
    finish(database, claimed(database))
    finish(database, claimed(database), error="no symbol could be pulled")
    done, failed = row(database, 1), row(database, 2)
    assert (done.state, done.counts, done.error, done.finished_at) == ("done", {"ok": 1}, None, MACHINE)
    assert (failed.state, failed.error) == ("failed", "no symbol could be pulled")


def test_outcomes_are_overwritten_and_counted(database: Database) -> None:
    plan(database, planned("pull"))
    run = claimed(database)
    with database.transaction() as connection:
        runs.record_outcomes(connection, run, [Outcome("MSFT", "transient", "timed out"), Outcome("AAPL", "ok")])
        assert runs.read_outcomes(connection, run.id)[1] == Outcome("MSFT", "transient", "timed out")
        runs.record_outcomes(connection, run, [Outcome("MSFT", "ok")])
        found = runs.read_outcomes(connection, run.id)
    assert found == (Outcome("AAPL", "ok"), Outcome("MSFT", "ok"))
    assert runs.outcome_counts(found) == {"ok": 2}


def test_last_scheduled_is_by_scope(database: Database) -> None:
    plan(database, planned("pull"), planned("pull", TUESDAY), planned("pull", scope="XTKS"), planned("score", TUESDAY))
    with database.reading() as connection:
        assert runs.last_scheduled(connection, "pull") == {
            "XNYS": datetime(2024, 3, 5, 22, 30, tzinfo=UTC),
            "XTKS": datetime(2024, 3, 4, 22, 30, tzinfo=UTC),
        }


@pytest.mark.parametrize(
    ("symbol", "reason", "message"),
    [
        ("Y", "Yahoo requests a pause", "Y: Yahoo requests a pause"),
        ("AAPL", "AAPL: timed out", "AAPL: timed out"),
        ("AAPL", None, "AAPL: failing"),
    ],
)
def test_the_message_of_an_outcome_names_its_symbol_once(symbol: str, reason: str | None, message: str) -> None:
    assert Outcome(symbol, "failing", reason).message == message
