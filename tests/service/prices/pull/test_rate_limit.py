"""The pull job when the vendor says stop, is down, or lacks an exchange: pauses, hourly attempts, alarms."""

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
    """The same walks from a source that answers as of now alone."""

    @property
    def can_replay(self) -> bool:
        """Not a record."""
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
    """How often the source limited the pull of each calendar."""
    query = select(runs.c.scope, source_rate_limits.c.limits).join(runs, runs.c.id == source_rate_limits.c.run_id)
    with service.database.reading() as connection:
        return {row.scope: row.limits for row in connection.execute(query)}


def turn(service: Service) -> Step:
    """One turn of a scheduler that was just started: whatever a pause needs stands in the database."""
    scheduler = service.scheduler()
    step = scheduler.step()
    scheduler.close()
    return step


def test_the_breaker_pauses_longer_each_time_across_restarts_and_then_asks_hourly(
    database: Database, tmp_path: Path
) -> None:
    source = walks()
    source.errors["CCC"] = LIMITED
    service = service_of(database, tmp_path, source)
    for number, minutes in enumerate((1, 5, 15), start=1):
        assert turn(service) is Step.WORKED
        row = pulls(service)
        assert (row.state, row.attempt, row.counts) == ("due", 0, {})
        assert limits(service) == {"XNYS": number}
        assert row.error.endswith("symbols are deferred; CCC: too many requests")
        assert row.not_before - service.machine.at == timedelta(minutes=minutes)
        service.machine.advance(minutes * 60 - 0.001)
        assert turn(service) is Step.IDLE
        service.machine.advance(0.001)
    source.fetched.clear()
    turn(service)
    row = pulls(service)
    assert (row.state, row.wait_until) == ("waiting", FINAL + timedelta(hours=1))
    assert limits(service) == {"XNYS": 4}
    assert row.counts["ok"] + row.counts["deferred"] == 5
    assert row.counts["deferred"] >= 1
    assert "AAA" not in [symbol for symbol, _ in source.fetched], "it was pulled before and is left alone"

    del source.errors["CCC"]
    source.fetched.clear()
    service.move_market(FINAL + timedelta(hours=1))
    deferred = sorted(symbol for symbol, state in states(service).items() if state == "deferred")
    while pulls(service).state == "waiting":
        turn(service)
    assert sorted(symbol for symbol, _ in source.fetched) == deferred
    assert pulls(service).state == "done"
    assert set(states(service).values()) == {"ok"}


def test_the_rest_stays_deferred_when_t_opens(database: Database, tmp_path: Path) -> None:
    source = walks()
    source.errors.update(dict.fromkeys(NAMES, LIMITED))
    service = service_of(database, tmp_path, source)
    for _ in range(4):
        turn(service)
        service.machine.advance(3600)
    service.move_market(OPENS)
    for _ in range(3):
        turn(service)
    row = pulls(service)
    assert (row.state, row.error) == ("failed", "no symbol could be pulled; AAA: too many requests")


def test_another_calendars_pull_gives_way(database: Database, tmp_path: Path) -> None:
    source = walks()
    source.errors["7203.T"] = LIMITED
    service = service_of(database, tmp_path, source, "AAA", "7203.T")
    assert turn(service) is Step.WORKED
    assert limits(service) == {"XTKS": 1}
    service.machine.advance(20)
    assert turn(service) is Step.WORKED
    assert [symbol for symbol, _ in source.fetched] == ["7203.T"], "New York asked although the vendor said stop"
    row = pulls(service)
    assert (row.state, row.attempt, row.counts) == ("due", 0, {})
    assert row.not_before == pulls(service, "XTKS").not_before
    source.errors.clear()
    service.machine.advance(40)
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()
    assert (pulls(service).state, pulls(service, "XTKS").state) == ("done", "done")


def test_a_vendor_that_is_down_is_asked_hourly_until_t_opens(database: Database, tmp_path: Path) -> None:
    source = walks(kind=LiveWalks)
    source.errors.update(dict.fromkeys(NAMES, Transient("502")))
    service = service_of(database, tmp_path, source)
    for _ in range(4):
        turn(service)
        service.machine.advance(3600)
    row = pulls(service)
    assert (row.state, row.wait_until) == ("waiting", FINAL + timedelta(hours=1))
    source.errors.clear()
    service.move_market(FINAL + timedelta(hours=1))
    while pulls(service).state == "waiting":
        turn(service)
    assert (pulls(service).state, set(states(service).values())) == ("done", {"ok"})


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (("AAA", "BBB"), "2 of 5 symbols of XNYS have no bar of 2024-03-01; first AAA: the bar of 2024-03-01 is not"),
        (NAMES, "5 of 5 symbols of XNYS have no bar of 2024-03-01: an outage of the source, or a closure"),
        (("AAA",), None),
        ((), None),
    ],
)
def test_more_than_a_fifth_of_an_exchange_missing_is_an_alarm(
    database: Database, tmp_path: Path, missing: tuple[str, ...], told: str | None
) -> None:
    service = service_of(database, tmp_path, walks(*missing))
    turn(service)
    row = pulls(service)
    assert row.state == ("waiting" if missing else "done")
    alarms = [notice for notice in service.reporter.notices if "have no bar of" in notice]
    if told is None:
        assert (row.error, row.warnings, alarms) == (None, [], [])
        return
    (warning,) = row.warnings
    assert row.error is None
    assert warning.startswith(told)
    assert alarms == [warning]
    service.move_market(OPENS)
    while pulls(service).state == "waiting":
        turn(service)
    assert (pulls(service).state, pulls(service).error) == ("done", row.error)
    assert [notice for notice in service.reporter.notices if "have no bar of" in notice] == alarms, "said once"
