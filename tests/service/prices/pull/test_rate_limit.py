"""The pull job under rate limits, outages and missing exchanges: pauses, hourly attempts, notices."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, select

from service.db.session import Database
from service.db.tables import run_outcomes, runs, source_rate_limits
from service.prices.sources.base import RateLimited, Transient
from service.scheduler.loop import Step
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

FRIDAY = date(2024, 3, 1)
FINAL = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
OPENS = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
NAMES = ("AAA", "BBB", "CCC", "DDD", "EEE")
LIMITED = RateLimited("too many requests")


class LiveWalks(RecordedWalks):
    """The same walks from a live source."""

    @property
    def can_replay(self) -> bool:
        """False: a live source."""
        return False


def walks(*without_friday: str, kind: type[RecordedWalks] = RecordedWalks) -> RecordedWalks:
    first, last = date(2023, 9, 1), date(2024, 3, 6)
    holes = {name: frozenset({FRIDAY}) if name in without_friday else frozenset() for name in NAMES}
    made = [Walk(name, first, last, holes=holes[name], seed=place) for place, name in enumerate(NAMES)]
    return kind([*made, Walk("7203.T", first, last, calendar="XTKS", seed=9)])


def service_of(database: Database, folder: Path, source: RecordedWalks, *symbols: str) -> Service:
    return make_service(database, folder, source, ServiceOptions("2024-03-01T22:30:00Z", symbols or NAMES))


def pulls(service: Service, calendar: str = "XNYS") -> Row[Any]:
    with service.database.reading() as connection:
        return connection.execute(select(runs).where(runs.c.job == "pull", runs.c.scope == calendar)).one()


def states(service: Service) -> dict[str, str]:
    query = select(run_outcomes.c.symbol, run_outcomes.c.state).join(runs, runs.c.id == run_outcomes.c.run_id)
    with service.database.reading() as connection:
        return {row.symbol: row.state for row in connection.execute(query.where(runs.c.job == "pull"))}


def limits(service: Service) -> dict[str, int]:
    """Return how often the source limited the pull of each calendar."""
    query = select(runs.c.scope, source_rate_limits.c.limits).join(runs, runs.c.id == source_rate_limits.c.run_id)
    with service.database.reading() as connection:
        return {row.scope: row.limits for row in connection.execute(query)}


def run_step(service: Service) -> Step:
    """Run one step of a new scheduler: pauses must be stored in the database."""
    scheduler = service.scheduler()
    step = scheduler.step()
    scheduler.close()
    return step


def test_pauses_grow_across_restarts_and_then_attempts_are_hourly(database: Database, tmp_path: Path) -> None:
    source = walks()
    source.errors["CCC"] = LIMITED
    service = service_of(database, tmp_path, source)
    for number, minutes in enumerate((1, 5, 15), start=1):
        assert run_step(service) is Step.WORKED
        row = pulls(service)
        assert (row.state, row.attempt, row.counts) == ("due", 0, {})
        assert limits(service) == {"XNYS": number}
        assert row.error.endswith("symbols are deferred; CCC: too many requests")
        assert row.not_before - service.machine.at == timedelta(minutes=minutes)
        service.machine.advance(minutes * 60 - 0.001)
        assert run_step(service) is Step.IDLE
        service.machine.advance(0.001)
    source.fetched.clear()
    run_step(service)
    row = pulls(service)
    assert (row.state, row.wait_until) == ("waiting", FINAL + timedelta(hours=1))
    assert limits(service) == {"XNYS": 4}
    assert row.counts["ok"] + row.counts["deferred"] == 5
    assert row.counts["deferred"] >= 1
    assert "AAA" not in [symbol for symbol, _ in source.fetched], "it was pulled by an earlier attempt"

    del source.errors["CCC"]
    source.fetched.clear()
    service.move_market(FINAL + timedelta(hours=1))
    deferred = sorted(symbol for symbol, state in states(service).items() if state == "deferred")
    while pulls(service).state == "waiting":
        run_step(service)
    assert sorted(symbol for symbol, _ in source.fetched) == deferred
    assert pulls(service).state == "done"
    assert set(states(service).values()) == {"ok"}


def test_the_run_fails_if_all_symbols_are_deferred_when_t_opens(database: Database, tmp_path: Path) -> None:
    source = walks()
    source.errors.update(dict.fromkeys(NAMES, LIMITED))
    service = service_of(database, tmp_path, source)
    for _ in range(4):
        run_step(service)
        service.machine.advance(3600)
    service.move_market(OPENS)
    for _ in range(3):
        run_step(service)
    row = pulls(service)
    assert (row.state, row.error) == ("failed", "no symbol could be pulled; AAA: too many requests")


def test_the_pull_of_another_calendar_waits_for_the_pause(database: Database, tmp_path: Path) -> None:
    source = walks()
    source.errors["7203.T"] = LIMITED
    service = service_of(database, tmp_path, source, "AAA", "7203.T")
    assert run_step(service) is Step.WORKED
    assert limits(service) == {"XTKS": 1}
    service.machine.advance(20)
    assert run_step(service) is Step.WORKED
    assert [symbol for symbol, _ in source.fetched] == ["7203.T"], "New York sent a request during the pause"
    row = pulls(service)
    assert (row.state, row.attempt, row.counts) == ("due", 0, {})
    assert row.not_before == pulls(service, "XTKS").not_before
    source.errors.clear()
    service.machine.advance(40)
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()
    assert (pulls(service).state, pulls(service, "XTKS").state) == ("done", "done")


def test_an_unreachable_vendor_is_tried_hourly_until_t_opens(database: Database, tmp_path: Path) -> None:
    source = walks(kind=LiveWalks)
    source.errors.update(dict.fromkeys(NAMES, Transient("502")))
    service = service_of(database, tmp_path, source)
    for _ in range(4):
        run_step(service)
        service.machine.advance(3600)
    row = pulls(service)
    assert (row.state, row.wait_until) == ("waiting", FINAL + timedelta(hours=1))
    source.errors.clear()
    service.move_market(FINAL + timedelta(hours=1))
    while pulls(service).state == "waiting":
        run_step(service)
    assert (pulls(service).state, set(states(service).values())) == ("done", {"ok"})


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (("AAA", "BBB"), "2 of 5 symbols of XNYS have no bar of 2024-03-01; first AAA: the bar of 2024-03-01 has not"),
        (NAMES, "5 of 5 symbols of XNYS have no bar of 2024-03-01: an outage of the source, or a closure"),
        (("AAA",), None),
        ((), None),
    ],
)
def test_more_than_a_fifth_of_missing_bars_is_a_warning(
    database: Database, tmp_path: Path, missing: tuple[str, ...], expected: str | None
) -> None:
    service = service_of(database, tmp_path, walks(*missing))
    run_step(service)
    row = pulls(service)
    assert row.state == ("waiting" if missing else "done")
    notices = [notice for notice in service.reporter.notices if "have no bar of" in notice]
    if expected is None:
        assert (row.error, row.warnings, notices) == (None, [], [])
        return
    (warning,) = row.warnings
    assert row.error is None
    assert warning.startswith(expected)
    assert notices == [warning]
    service.move_market(OPENS)
    while pulls(service).state == "waiting":
        run_step(service)
    assert (pulls(service).state, pulls(service).error) == ("done", row.error)
    assert [notice for notice in service.reporter.notices if "have no bar of" in notice] == notices, "reported once"
