"""Carrying out requests: each once, each with its reason, none stops the others."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Row, Table, insert, select, update

from models.config import ModelConfig, Strategy
from service.audit import Author
from service.db.tables import api_keys, audit, instruments, run_outcomes, run_requests, runs
from service.prices.sources.base import Malformed, RateLimited, Transient
from service.run_requests.store import NewRequest, RunRequest, read_request, write_request
from service.scheduler.run_requests import carry_out as carry_out_module
from service.scheduler.run_requests.carried import Carried
from service.vocabulary import RequestKind
from tests.support.forecast_factory import record_version, save_network
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service

FRIDAY = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
ROBOT = Author("robot", "request-1")


def send(service: Service, kind: RequestKind, **body: Any) -> int:
    with service.database.transaction() as connection:
        return write_request(connection, NewRequest(kind, body, ROBOT), service.machine.at)


def stored(service: Service, number: int) -> RunRequest:
    with service.database.reading() as connection:
        found = read_request(connection, number)
    assert found is not None
    return found


def rows(service: Service, table: Table, **values: Any) -> list[Row[Any]]:
    query = select(table).order_by(*table.primary_key.columns)
    for name, value in values.items():
        query = query.where(table.c[name] == value)
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def work(service: Service) -> None:
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()


def ended(service: Service, number: int) -> tuple[str, str | None]:
    found = stored(service, number)
    return found.state, found.error


def test_a_requested_pull_is_a_further_run_of_the_newest_session(service: Service) -> None:
    work(service)
    number = send(service, RequestKind.RUN, job="pull", scope="XNYS")
    work(service)
    (run,) = rows(service, runs, sequence=1)
    assert (run.job, run.scope, run.scheduled_for, run.state) == ("pull", "XNYS", FRIDAY, "done")
    found = stored(service, number)
    assert (found.state, found.error, found.run_ids) == ("done", None, [run.id])
    (entry,) = rows(service, audit)
    assert (entry.actor, entry.action, entry.subject) == ("robot", "runs.plan", "pull XNYS")
    assert (entry.request_id, entry.detail) == ("request-1", {"run_request": number, "runs": [run.id]})


def test_a_run_that_has_not_ended_is_not_repeated(service: Service) -> None:
    numbers = [send(service, RequestKind.RUN, job="forecast", scope="XNYS") for _ in range(2)]
    work(service)
    (run,) = rows(service, runs, job="forecast")
    assert [stored(service, number).run_ids for number in numbers] == [[run.id], [run.id]]
    assert [ended(service, number) for number in numbers] == [("done", None)] * 2


def test_a_requested_training_is_repeated_at_the_same_instant(service: Service) -> None:
    work(service)
    number = send(service, RequestKind.RUN, job="train", scope="equity")
    work(service)
    trains = rows(service, runs, job="train")
    assert [(run.scheduled_for, run.sequence, run.state) for run in trains] == [
        (FRIDAY, 0, "done"),
        (FRIDAY, 1, "done"),
    ]
    assert stored(service, number).run_ids == [trains[1].id]


def test_a_command_gets_the_newest_runs_of_its_job(service: Service) -> None:
    number = send(service, RequestKind.RUN, job="score")
    work(service)
    assert stored(service, number).run_ids == [run.id for run in rows(service, runs, job="score")]
    assert ended(service, number) == ("done", None)


def test_a_request_for_a_group_without_symbols_is_rejected(service: Service) -> None:
    number = send(service, RequestKind.RUN, job="train", scope="crypto")
    work(service)
    assert ended(service, number) == (
        "rejected", "no symbol of the group crypto is on the watchlist with bars; see /v1/symbols"
    )  # fmt: skip
    (entry,) = rows(service, audit)
    assert (entry.action, entry.subject, entry.detail["state"]) == ("run_requests.end", str(number), "rejected")


def test_a_failed_run_fails_its_request_with_the_reason(service: Service, source: RecordedWalks) -> None:
    work(service)
    for symbol in ("AAA", "BBB"):
        source.errors[symbol] = Transient(f"{symbol}: the answer was cut short")
    number = send(service, RequestKind.RUN, job="pull", scope="XNYS")
    for _ in range(4):
        scheduler = service.scheduler()
        for _ in range(3):
            scheduler.step()
        scheduler.close()
        service.machine.advance(1000)
    work(service)
    state, reason = ended(service, number)
    assert state == "failed"
    assert reason is not None
    assert "AAA: the answer was cut short" in reason


def test_a_new_symbol_is_pulled_and_forecast_by_the_further_run(service: Service, source: RecordedWalks) -> None:
    work(service)
    trainings = len(rows(service, runs, job="train"))
    source.put(Walk("CCC", date(2023, 9, 1), date(2024, 3, 6), seed=3))
    number = send(service, RequestKind.ADD_SYMBOL, symbol="CCC", group="metals")
    work(service)
    found = stored(service, number)
    assert (found.state, found.error) == ("done", None)
    own = [run for run in rows(service, runs) if run.id in found.run_ids]
    assert [(run.job, run.sequence, run.state) for run in own] == [("pull", 1, "done"), ("forecast", 1, "done")]
    (instrument,) = rows(service, instruments, symbol="CCC")
    assert (instrument.active, instrument.group, instrument.calendar, instrument.state) == (
        True,
        "metals",
        "XNYS",
        "ok",
    )
    assert {step.symbol for step in service.reporter.editions[-1].steps} == {"CCC"}
    assert len(rows(service, runs, job="train")) <= trainings + 1  # the new group's own first one; no group's again
    assert rows(service, runs, job="train", scope="equity", sequence=1) == []
    assert [entry.action for entry in rows(service, audit)] == ["symbols.add"]


def test_a_new_symbol_is_served_by_the_walk_from_60_sessions_and_by_the_network_from_250_without_a_training(
    service: Service, source: RecordedWalks
) -> None:
    work(service)
    config = ModelConfig("lstm", Strategy.MULTI_STEP, units=3, seeds=(0,))
    network = save_network(config, 1, service.context.settings.artifact_dir)
    with service.database.transaction() as connection:
        version = record_version(connection, network, "challenger")
    promotion = send(service, RequestKind.PROMOTE, version=version, reason="by the test")
    pin = send(service, RequestKind.PIN, version=version, reason="by the test")
    work(service)
    assert [ended(service, number) for number in (promotion, pin)] == [("done", None)] * 2
    trainings = rows(service, runs, job="train")
    # sessions of New York up to Friday, 1 March 2024: 59, 60, 249 and 250
    firsts = {"N59": date(2023, 12, 6), "N60": date(2023, 12, 5), "N249": date(2023, 3, 7), "N250": date(2023, 3, 6)}
    for seed, (symbol, first) in enumerate(firsts.items()):
        source.put(Walk(symbol, first, date(2024, 3, 6), seed=seed))
    numbers = [send(service, RequestKind.ADD_SYMBOL, symbol=symbol) for symbol in firsts]
    work(service)
    assert [ended(service, number) for number in numbers] == [("done", None)] * 4
    served = {(step.symbol, step.strategy, step.served_by) for step in service.reporter.editions[-1].steps}
    assert served == {
        ("N60", "one_step", "random_walk"), ("N60", "multi_step", "random_walk"),
        ("N249", "one_step", "random_walk"), ("N249", "multi_step", "random_walk"),
        ("N250", "one_step", "random_walk"), ("N250", "multi_step", "lstm"),
    }  # fmt: skip
    assert rows(service, runs, job="train") == trainings
    (outcome,) = rows(service, run_outcomes, symbol="N59", state="refused")
    assert outcome.reason.startswith("it has 59 bars in the 245 sessions up to 2024-03-01; 60 are needed")
    again = send(service, RequestKind.RUN, job="train", scope="equity")
    service.move_market(datetime(2024, 3, 4, 22, 30, tzinfo=UTC))
    work(service)
    assert ended(service, again) == ("done", None)
    on_monday = {(step.symbol, step.strategy): step.served_by for step in service.reporter.editions[-1].steps}
    assert on_monday["N250", "multi_step"] == "lstm"  # pinned: the training has not replaced it


def test_a_symbol_that_the_source_does_not_know_is_rejected_with_its_reason(service: Service) -> None:
    number = send(service, RequestKind.ADD_SYMBOL, symbol="NOPE")
    work(service)
    assert ended(service, number) == ("rejected", "NOPE: no such symbol among AAA, BBB")
    assert rows(service, instruments, symbol="NOPE") == []


def test_a_symbol_that_cannot_be_read_is_rejected_with_the_reason(service: Service, source: RecordedWalks) -> None:
    source.put(Walk("CCC", date(2023, 9, 1), date(2024, 3, 6), seed=3))
    source.errors["CCC"] = Malformed("CCC.csv: line 7 has two closes")
    number = send(service, RequestKind.ADD_SYMBOL, symbol="CCC")
    work(service)
    assert ended(service, number) == ("rejected", "CCC.csv: line 7 has two closes")


def test_a_source_that_does_not_answer_is_tried_again_then_reported(service: Service, source: RecordedWalks) -> None:
    source.put(Walk("CCC", date(2023, 9, 1), date(2024, 3, 6), seed=3))
    source.errors["CCC"] = RateLimited("CCC: 429 Too Many Requests")
    number = send(service, RequestKind.ADD_SYMBOL, symbol="CCC")
    work(service)
    assert ended(service, number) == ("pending", "CCC: 429 Too Many Requests")
    service.machine.advance(20)
    del source.errors["CCC"]
    work(service)
    assert ended(service, number) == ("done", None)
    source.errors["DDD"] = RateLimited("DDD: 429 Too Many Requests")
    source.put(Walk("DDD", date(2023, 9, 1), date(2024, 3, 6), seed=4))
    lasting = send(service, RequestKind.ADD_SYMBOL, symbol="DDD")
    for _ in range(4):
        work(service)
        service.machine.advance(1000)
    assert ended(service, lasting) == ("failed", "DDD: 429 Too Many Requests")


def test_the_limit_on_symbols_holds_in_the_scheduler(service: Service, source: RecordedWalks) -> None:
    source.put(Walk("CCC", date(2023, 9, 1), date(2024, 3, 6), seed=3))
    object.__setattr__(service.context.settings, "max_symbols", 2)
    number = send(service, RequestKind.ADD_SYMBOL, symbol="CCC")
    again = send(service, RequestKind.ADD_SYMBOL, symbol="AAA")
    work(service)
    state, reason = ended(service, number)
    assert state == "rejected"
    assert reason is not None
    assert reason.startswith("the watchlist would have 3 symbols, and TPLUS_MAX_SYMBOLS allows 2;")
    assert ended(service, again) == ("done", None)


def test_the_last_symbol_may_be_removed_and_the_service_runs_on(service: Service, source: RecordedWalks) -> None:
    work(service)
    numbers = [send(service, RequestKind.REMOVE_SYMBOL, symbol=symbol) for symbol in ("AAA", "BBB")]
    work(service)
    assert [stored(service, number).result.get("note") for number in numbers] == [
        None,
        "the watchlist is empty: nothing is forecast until a symbol is added, reference series are still pulled",
    ]
    assert [row.active for row in rows(service, instruments)] == [False, False]
    again = send(service, RequestKind.ADD_SYMBOL, symbol="AAA")
    service.move_market(datetime(2024, 3, 4, 22, 30, tzinfo=UTC))
    work(service)
    assert ended(service, again) == ("done", None)
    assert {step.symbol for step in service.reporter.editions[-1].steps} == {"AAA"}


def test_a_backfill_is_requested_once_and_yields_to_due_runs(service: Service) -> None:
    work(service)
    body = {"job": "backfill", "scope": "XNYS", "first": "2024-02-01", "last": "2024-02-29", "symbols": []}
    numbers = [send(service, RequestKind.RUN, **body) for _ in range(2)]
    service.move_market(datetime(2024, 3, 4, 22, 30, tzinfo=UTC))
    work(service)
    (run,) = rows(service, runs, job="backfill")
    assert [stored(service, number).run_ids for number in numbers] == [[run.id], [run.id]]
    assert (run.state, run.counts) == ("done", {"published": 2})
    assert [row.state for row in rows(service, run_outcomes, run_id=run.id)] == ["published", "published"]
    jobs = [job for job, _, _ in service.reporter.ended]
    assert jobs.index("backfill") == len(jobs) - 1  # after Monday's runs, and reported once


def test_a_backfill_that_is_not_possible_is_rejected_with_the_reason(service: Service) -> None:
    body = {"job": "backfill", "scope": "XNYS", "first": "2024-03-01", "last": "2024-03-05", "symbols": []}
    work(service)
    number = send(service, RequestKind.RUN, **body)
    work(service)
    state, reason = ended(service, number)
    assert state == "rejected"
    assert reason is not None
    assert "the newest one whose T has opened is 2024-02-29" in reason


def break_removals(monkeypatch: pytest.MonkeyPatch, write: Callable[[Connection], Carried]) -> None:
    """Let removals of symbols be carried out by a function with a defect."""
    checks = {**carry_out_module.CHECKS, RequestKind.REMOVE_SYMBOL: lambda _context, _request: write}
    monkeypatch.setattr(carry_out_module, "CHECKS", checks)


def test_a_defect_in_one_request_does_not_stop_the_others(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_connection: Connection) -> Carried:
        raise ZeroDivisionError("a defect")

    break_removals(monkeypatch, write)
    numbers = [
        send(service, RequestKind.REMOVE_SYMBOL, symbol="AAA"),
        send(service, RequestKind.RUN, job="pull", scope="XNYS"),
    ]
    work(service)
    assert [ended(service, number) for number in numbers] == [("failed", "ZeroDivisionError: a defect"), ("done", None)]


def test_the_reason_of_a_database_error_has_no_statement(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(connection: Connection) -> Carried:
        connection.execute(insert(api_keys).values(id=1, name="secret"))  # without its other columns
        raise AssertionError

    break_removals(monkeypatch, write)
    number = send(service, RequestKind.REMOVE_SYMBOL, symbol="AAA")
    work(service)
    expected = "NOT NULL constraint failed: api_keys.prefix" if service.database.is_sqlite else "the log has the reason"
    assert ended(service, number) == ("failed", f"IntegrityError: {expected}")


def test_a_disk_that_cannot_be_read_is_tried_again(service: Service, source: RecordedWalks) -> None:
    source.put(Walk("CCC", date(2023, 9, 1), date(2024, 3, 6), seed=3))
    source.errors["CCC"] = OSError(5, "Input/output error", "CCC.csv")
    number = send(service, RequestKind.ADD_SYMBOL, symbol="CCC")
    work(service)
    assert ended(service, number) == (
        "pending",
        "the disk cannot be read or written at CCC.csv: Input/output error; free space or make it writable; "
        "it is retried",
    )
    service.machine.advance(20)
    del source.errors["CCC"]
    work(service)
    assert ended(service, number) == ("done", None)


def test_old_requests_and_expired_answers_are_removed(service: Service) -> None:
    with service.database.transaction() as connection:
        key = {"name": "k", "prefix": "p", "sha256": "s", "scopes": [], "created_at": service.machine.at}
        connection.execute(insert(api_keys).values(id=1, **key))
        number = write_request(
            connection, NewRequest(RequestKind.RUN, {"job": "pull"}, ROBOT, 1, "once"), service.machine.at
        )
        values = {"answer": {"location": "/x", "body": "{}"}, "expires_at": service.machine.at}
        connection.execute(update(run_requests).where(run_requests.c.id == number).values(values))
    work(service)
    (row,) = rows(service, run_requests)
    assert (row.answer, row.expires_at, row.idempotency_key, row.state) == (None, None, None, "done")
    service.machine.advance(90 * 86400)
    work(service)
    assert rows(service, run_requests) == []
