"""One kill of PostgreSQL under the writes of a scheduler; the full form is `benchmarks.reliability.kill_postgres`."""

from pathlib import Path

import pytest

from benchmarks.reliability.kill_postgres import Plan, kill_database, lost_writes, misses
from benchmarks.reliability.killing.postgres import killed_server
from service.db.session import Database
from tests.support.postgres import NoPostgres, skip_or_fail


@pytest.mark.slow
def test_no_acknowledged_write_is_lost_and_the_scheduler_goes_on(tmp_path: Path) -> None:
    try:
        with killed_server() as server:
            figures = kill_database(tmp_path, server, Plan(1, writes_between=3, with_api=False))
            database = Database(server.url)
            with database.reading() as connection:
                planted = [
                    {"write": "publish", "number": 1, "hash": "another"},
                    {"write": "claim", "run": 10_000, "token": 1},
                    {"write": "merge", "symbol": "IBM", "bars": 1, "last": "2000-01-03"},
                ]
                assert len(lost_writes(connection, planted)) == 2  # the check can fail
            database.close()
    except NoPostgres as error:
        skip_or_fail(error)
    assert misses(figures) == []
    assert figures["kills"] == 1
