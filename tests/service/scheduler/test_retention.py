"""The scheduler prunes by setting: off by default, in batches, then not again for an hour."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from service.db.session import Database
from service.db.tables import bar_revisions
from service.scheduler.loop import Scheduler
from service.scheduler.retention import Retention
from tests.support.chain_factory import fill_chains
from tests.support.forecast_factory import NOON, Desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Three old revisions of bars and a recent one."""
    desk = fill_chains(database, tmp_path, 1)
    common = {"symbol": "AAA", "session": date(2017, 1, 3), "close": 1.0, "basis": 0, "fetched_at": NOON}
    rows = [{**common, "revision": n, "replaced_at": NOON - timedelta(days=400 - n)} for n in (1, 2, 3)]
    with database.transaction() as connection:
        connection.execute(insert(bar_revisions), [*rows, {**common, "revision": 4, "replaced_at": NOON}])
    return desk


def count(desk: Desk) -> int:
    with desk.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(bar_revisions)).scalar_one()


def test_it_is_off_by_default(desk: Desk) -> None:
    assert Retention(desk.context).prune() == 0
    assert count(desk) == 4


def test_batches_are_deleted_one_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.retention.BATCH", 2)
    settings = desk.context.settings.model_copy(update={"retention_days": 90})
    retention = Retention(replace(desk.context, settings=settings))
    assert [retention.prune() for _ in range(4)] == [2, 1, 0, 0]
    assert count(desk) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_idle_scheduler_prunes(desk: Desk) -> None:
    settings = desk.context.settings.model_copy(update={"retention_days": 90})
    scheduler = Scheduler(replace(desk.context, settings=settings), jobs=())
    scheduler._turn()
    assert count(desk) == 1
