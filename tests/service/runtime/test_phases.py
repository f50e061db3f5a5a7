"""Phases stored with a run: attempts add up, and a run that was taken over keeps those of its new worker."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from models.phases import PhaseUsage
from service.db.session import Database
from service.db.tables import runs
from service.runs import Claimant, PlannedRun, Run, claim, plan
from service.runtime.phases import add_phases, read_phases

AT = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def run(database: Database) -> Run:
    return claimed(database, NOON)


def claimed(database: Database, machine_now: datetime) -> Run:
    with database.transaction() as connection:
        plan(connection, [PlannedRun("pull", "XNYS", AT, date(2024, 3, 1))])
        found = claim(connection, Claimant("a", ("pull",), timedelta(seconds=30)), AT, machine_now)
    assert found is not None
    return found


def stored(database: Database) -> tuple[PhaseUsage, ...]:
    with database.reading() as connection:
        return read_phases(connection.execute(select(runs.c.phases)).scalar_one())


def add(database: Database, run: Run, *phases: PhaseUsage) -> None:
    with database.transaction() as connection:
        add_phases(connection, run, phases)


def test_attempts_add_up(database: Database, run: Run) -> None:
    assert stored(database) == ()
    add(database, run, PhaseUsage("fetch", 1.5, 0.5, 300, 10), PhaseUsage("store", 1.0, 1.0, 200, 10))
    add(database, run, PhaseUsage("fetch", 2.0, 0.25, 250, 4), PhaseUsage("other", 0.5, 0.5, 100, 0))
    assert stored(database) == (
        PhaseUsage("fetch", 3.5, 0.75, 300, 14),
        PhaseUsage("store", 1.0, 1.0, 200, 10),
        PhaseUsage("other", 0.5, 0.5, 100, 0),
    )


def test_a_worker_that_lost_the_run_adds_nothing(database: Database, run: Run) -> None:
    newer = claimed(database, NOON + timedelta(minutes=1))
    add(database, run, PhaseUsage("fetch", 9.0))
    assert stored(database) == ()
    add(database, newer, PhaseUsage("fetch", 1.0))
    assert stored(database) == (PhaseUsage("fetch", 1.0),)


def test_a_run_without_phases_stays_unmeasured(database: Database, run: Run) -> None:
    add(database, run)
    with database.reading() as connection:
        assert connection.execute(select(runs.c.phases)).scalar_one() is None
