"""The heads of the ledger recorded outside the database by the scheduler."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.db.session import Database
from service.runtime.context import ServiceContext
from service.scheduler.head_recorder import HeadRecorder
from service.scheduler.loop import Scheduler
from tests.support.chain_factory import extend_chains, fill_chains, unguarded
from tests.support.forecast_factory import Desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """Three editions and three score batches."""
    return fill_chains(database, tmp_path)


def context_with(desk: Desk, path: Path) -> ServiceContext:
    settings = desk.context.settings.model_copy(update={"ledger_head_file": path})
    return replace(desk.context, settings=settings)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_heads_are_appended_where_they_moved_and_a_lost_one_is_reported(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    recorder = HeadRecorder(context_with(desk, path))
    recorder.record()
    recorder.record()
    extend_chains(desk.database, 4, 4)
    recorder.record()
    assert len(path.read_text().splitlines()) == 2
    # A new process continues the file.
    again = HeadRecorder(context_with(desk, path))
    again.record()
    assert (len(path.read_text().splitlines()), desk.reporter.notices) == (2, [])
    with unguarded(desk.database) as execute:
        for table, column in (("scores", "batch"), ("score_batches", "number")):
            execute(f"DELETE FROM {table} WHERE {column} = 4")
    again.record()
    again.record()
    assert desk.reporter.notices == [
        "the ledger was altered: score batch 4 of the recorded head is missing: the chain was cut short; "
        f"run `tplus ledger verify --head {path}`"
    ]
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_file_that_cannot_be_written_is_reported_once_and_stops_nothing(desk: Desk, tmp_path: Path) -> None:
    recorder = HeadRecorder(context_with(desk, tmp_path / "no" / "heads.jsonl"))
    recorder.record()
    recorder.record()
    assert len(desk.reporter.notices) == 1
    assert "cannot be written: No such file or directory; check TPLUS_LEDGER_HEAD_FILE" in desk.reporter.notices[0]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_scheduler_records_the_heads(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    Scheduler(context_with(desk, path), jobs=()).drain()
    assert '"editions":{"number":3,' in path.read_text()
