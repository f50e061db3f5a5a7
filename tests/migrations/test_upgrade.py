"""A database of an earlier release, upgraded to the newest migration: no row is lost and the chains still hold."""

import pytest
from sqlalchemy import Connection, select, text

from service.db.migrate import check, current_revision, upgrade
from service.db.revision import HEAD
from service.db.session import Database
from service.db.tables import forecasts, runs
from service.forecasts.ledger import verify
from tests.migrations.first_release import REVISION, write_first_release

TABLES = (
    "api_keys", "audit", "bar_revisions", "bars", "calibration_states", "change_counters", "config_approvals",
    "corporate_action_revisions", "corporate_actions", "editions", "forecasts", "instruments", "market_clock",
    "model_decisions", "model_versions", "quarantine", "run_outcomes", "run_requests", "runs", "schedulers",
    "score_batches", "scores", "served_forecasts", "sessions", "source_rate_limits", "stamp", "symbol_holds",
    "track_records",
)  # fmt: skip
"""Tables of the first release."""


@pytest.fixture
def first_release(empty: Database) -> Database:
    """A database as migration 1004 left it, with a row in nearly every table."""
    upgrade(empty, REVISION)
    with empty.transaction() as connection:
        write_first_release(connection)
    return empty


def counts(connection: Connection) -> dict[str, int]:
    return {name: connection.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in TABLES}


def test_every_row_survives_the_upgrade_and_the_chains_hold(first_release: Database) -> None:
    with first_release.reading() as connection:
        before = counts(connection)
    assert {name for name, count in before.items() if count == 0} == {"api_keys", "schedulers"}
    upgrade(first_release)
    check(first_release)
    with first_release.reading() as connection:
        assert current_revision(connection) == HEAD
        assert counts(connection) == before
        assert verify(connection) == []


def test_rows_are_read_as_they_were_written(first_release: Database) -> None:
    upgrade(first_release)
    with first_release.reading() as connection:
        newest = connection.execute(select(forecasts).where(forecasts.c.edition == 2)).one()
        run = connection.execute(select(runs)).one()
    assert (newest.symbol, newest.target_session.isoformat(), newest.q10, newest.sigma) == (
        "AAPL", "2018-06-04", -0.025, 0.015,
    )  # fmt: skip
    assert (run.counts, run.warnings, run.takeovers) == ({"issued": 1}, [], 0)
    assert run.scheduled_for.isoformat() == "2018-06-01T22:00:00+00:00"
