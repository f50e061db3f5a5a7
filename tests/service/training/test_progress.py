"""Stored progress of a training: readable while it runs, fenced, rate-limited, never a cause of failure."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, select, update

import service.training.train_job as train_module
from models.config import Strategy
from models.training.train import TrainProgress
from service.db.session import Database
from service.db.tables import runs
from service.execution.executor import Answer, Request, Task
from service.runs import Run
from service.training.progress import StoredProgress
from service.training.train_job import train
from tests.support.forecast_factory import Desk, History, InProcess, random_closes, utc

LAST = date(2018, 5, 31)


@pytest.fixture
def run(desk: Desk) -> Run:
    desk.add(History("AAA", LAST, random_closes(90, 1)))
    desk.move(utc(2018, 5, 31, 22))
    return desk.run("train", LAST, "equity")


Progress = tuple[float | None, str | None]
NO_PROGRESS: Progress = (None, None)


def progress_of(desk: Desk, run: Run) -> Progress:
    """Return the progress as another process reads it, over a connection of its own."""
    other = Database(desk.database.url)
    with other.reading() as connection:
        row = connection.execute(select(runs.c.progress, runs.c.progress_detail).where(runs.c.id == run.id)).one()
    other.close()
    return row.progress, row.progress_detail


def test_progress_starts_at_zero_and_is_updated(desk: Desk, run: Run) -> None:
    with StoredProgress(desk.context, run, every=0.0) as progress:
        assert progress_of(desk, run) == (0.0, "reading the bars")
        progress.update(0.42124, "multi_step, seed 1, epoch 7")
        assert progress_of(desk, run) == (0.421, "multi_step, seed 1, epoch 7")


def test_an_update_too_soon_after_the_last_one_is_skipped(desk: Desk, run: Run) -> None:
    with StoredProgress(desk.context, run, every=3600.0) as progress:
        progress.update(0.9, "epoch 30")
        assert progress_of(desk, run)[0] == 0.0


def test_the_progress_of_a_failed_training_is_cleared(desk: Desk, run: Run) -> None:
    seen: list[Progress] = []
    with suppress(ZeroDivisionError), StoredProgress(desk.context, run):
        seen.append(progress_of(desk, run))
        raise ZeroDivisionError
    assert seen == [(0.0, "reading the bars")]
    assert progress_of(desk, run) == NO_PROGRESS


def test_the_progress_of_a_run_that_was_taken_over_is_not_changed(desk: Desk, run: Run) -> None:
    with StoredProgress(desk.context, run, every=0.0) as progress:
        with desk.database.transaction() as connection:
            connection.execute(update(runs).values(token=run.token + 1, progress=None, progress_detail=None))
        progress.update(0.5, "epoch 2")
    assert progress_of(desk, run) == NO_PROGRESS


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_read_only_database_does_not_stop_the_training(desk: Desk, run: Run) -> None:
    @event.listens_for(desk.database.engine, "connect")
    def _refuse(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA query_only=ON")

    desk.database.engine.dispose()
    with StoredProgress(desk.context, run, every=0.0) as progress:
        progress.update(0.5, "epoch 2")
    assert progress_of(desk, run) == NO_PROGRESS


class Reporting(InProcess):
    """Reports an epoch before the task, and records the progress that other processes read then."""

    def __init__(self, read: Callable[[], Progress]) -> None:
        super().__init__()
        self._read = read
        self.seen: list[Progress] = []

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Report an epoch, then run the task."""
        assert report is not None
        report(TrainProgress(Strategy.MULTI_STEP, 1, 7, 60, 0.1, 0.42))
        self.seen.append(self._read())
        return super().run(task, request, report)


def test_a_training_stores_its_progress_and_ends_with_its_counts(
    desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "StoredProgress", partial(StoredProgress, every=0.0))
    worker = Reporting(lambda: progress_of(desk, run))
    object.__setattr__(desk.context, "warm", worker)
    train(desk.context, run)
    assert worker.seen == [(0.42, "multi_step, seed 1, epoch 7")]
    assert progress_of(desk, run) == NO_PROGRESS
    (row,) = desk.rows(runs, id=run.id)
    assert row.counts == {"random_walk_only": 1, "versions": 2}


def test_the_progress_of_a_training_that_cannot_be_recorded_is_cleared(
    desk: Desk, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "record", lambda *_arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(desk.context, run)
    assert progress_of(desk, run) == NO_PROGRESS
