"""A ledger with links in both chains, and what the owner of a database can do to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from models.config import Strategy
from service.db.session import Database
from service.forecasts.ledger import publish
from service.forecasts.scoring.outcomes import PendingForecast
from service.forecasts.scoring.score_batches import ScoreBatch, publish_scores
from tests.support.forecast_factory import Desk, History, Said, draft_of, open_desk, random_closes, utc

AT, RECORDED = utc(2018, 6, 1, 22), utc(2026, 1, 2, 3, 4)
QUANTILES = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06)
TARGET = date(2018, 6, 29)
SCORED = {
    "revision": 1, "state": "scored", "reason": None, "bars_revision": 2, "actions_revision": 0, "actual": 0.01,
    "pinball": 0.002, "error": 0.01, "inside_50": True, "inside_80": True, "inside_95": True,
}  # fmt: skip
GUARDS = ("editions", "forecasts", "served_forecasts", "score_batches", "scores")


def fill_chains(database: Database, folder: Path, editions: int = 3) -> Desk:
    """Publish editions of one forecast of AAA each, and a score batch for each."""
    desk = open_desk(database, folder)
    desk.add(History("AAA", date(2018, 5, 31), random_closes(5, 1)))
    desk.add_walk(Strategy.MULTI_STEP)
    extend_chains(database, 1, editions)
    return desk


def extend_chains(database: Database, first: int, last: int) -> None:
    """Publish editions and score batches of the numbers `first` to `last`."""
    for number in range(first, last + 1):
        as_of = date(2018, 5, number)
        with database.transaction() as connection:
            publish(connection, draft_of(Said("AAA", as_of, (TARGET,), 1, quantiles=QUANTILES)), AT, RECORDED)
        forecast = PendingForecast(number, "AAA", as_of, TARGET, number, 1, 1, QUANTILES, 0, None, None, served=True)
        row: dict[str, Any] = {"forecast_id": number, **SCORED}
        with database.transaction() as connection:
            publish_scores(connection, ScoreBatch("XNYS", AT, RECORDED, None), [row], {number: forecast})


@contextmanager
def unguarded(database: Database) -> Iterator[Any]:
    """Yield `execute` of a raw connection without triggers and foreign keys, as the owner of a database has it."""
    if not database.is_sqlite:
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            yield connection.exec_driver_sql
        return
    path = database.engine.url.database
    assert path is not None
    with closing(sqlite3.connect(path)) as raw, raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        yield raw.execute
