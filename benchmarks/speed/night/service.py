"""The service under measure, in a process of its own: its scheduler's loop, and market time that the benchmark sets.

Source, database, workers and loop are the real ones. Market time is a held instant instead of the wall clock: the
evening of a session begins when the benchmark says so.
"""

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import func, select

from benchmarks.speed.night.ledger import lay_ledger
from benchmarks.speed.night.vendor import CALENDAR
from models.phases import PhaseUsage
from service.bootstrap import open_service
from service.db.tables import bars, forecasts, model_versions, runs, scores
from service.log_config import configure_logs
from service.runs import JOBS, is_busy
from service.runtime.context import ServiceContext
from service.runtime.phases import read_phases
from service.scheduler.loop import Scheduler
from service.settings import Settings
from service.vocabulary import RANDOM_WALK, Job, RunState

SESSION_JOBS = (Job.PULL, Job.SCORE, Job.FORECAST)
_POLL_SECONDS = 0.5
"""Real seconds between two looks at the runs: each costs the measured process some milliseconds."""


class HeldClock:
    """Market time that changes only when it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self, connection: DatabaseConnection) -> datetime:  # noqa: ARG002 - the interface's signature
        """Return the held instant."""
        return self.at


@dataclass(frozen=True, slots=True)
class Evening:
    """What the service does next.

    Attributes:
        session: The session whose evening begins.
        trains: Whether trainings are executed too.
    """

    session: date
    trains: bool = True


@dataclass(frozen=True, slots=True)
class Ledger:
    """A request to lay a ledger of that many sessions before the first edition, scored."""

    sessions: int


@dataclass(frozen=True, slots=True)
class Night:
    """What the service did.

    Attributes:
        seconds: From the evening's begin to the end of its last run.
        jobs: Seconds of its runs by job.
        outcomes: Symbols by outcome of the pull and of the forecast run.
        trained: Networks that it trained, all seeds of one as one.
        warm: Those of them that began from served weights.
        faults: Errors of its runs.
        rows: Rows stored after it, by table.
        phases: Where its time went, by job.
    """

    seconds: float
    jobs: Mapping[str, float]
    outcomes: Mapping[str, int]
    trained: int
    warm: int
    faults: tuple[str, ...]
    rows: Mapping[str, int]
    phases: Mapping[str, tuple[PhaseUsage, ...]]


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service in a process of its own.

    Attributes:
        pid: Its process; the workers are below it.
        pipe: This end of the pipe to it.
    """

    pid: int
    pipe: Connection

    def send(self, request: Evening | Ledger) -> None:
        """Begin a piece of work."""
        self.pipe.send(request)

    def wait(self, seconds: float) -> bool:
        """Return whether the work has ended, after at most that long."""
        return self.pipe.poll(seconds)

    def result(self) -> Any:
        """Return what the work gave: a `Night`, or None.

        Raises:
            RuntimeError: It failed.
        """
        answer = self.pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return answer


@contextmanager
def running_service(settings: Settings, at: datetime) -> Iterator[RunningService]:
    """Run a service for a block.

    Args:
        settings: Its settings; the source is `yahoo` with a stand-in.
        at: Market time at which it begins.
    """
    context = multiprocessing.get_context("spawn")
    pipe, child_pipe = context.Pipe()
    process = context.Process(target=_serve, args=(child_pipe, settings, at), name="service")
    process.start()
    child_pipe.close()
    assert process.pid is not None
    try:
        yield RunningService(process.pid, pipe)
    finally:
        pipe.close()
        process.join(60)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(pipe: Connection, settings: Settings, at: datetime) -> None:
    configure_logs("error")
    clock = HeldClock(at)
    with open_service(settings) as opened:
        context = replace(opened, market=clock)
        host = _Host(context, clock)
        while True:
            try:
                request = pipe.recv()
            except EOFError:
                break
            try:
                pipe.send(host.begin(request))
            except Exception as error:
                pipe.send(f"{type(error).__name__}: {error}")
        host.stop()


class _Host:
    """Runs a scheduler's loop in a thread, as `tplus schedule` does, and waits for the end of a night."""

    def __init__(self, context: ServiceContext, clock: HeldClock) -> None:
        self._context, self._clock = context, clock
        self._scheduler: Scheduler | None = None
        self._thread: threading.Thread | None = None
        self._trains = False

    def begin(self, request: Evening | Ledger) -> Night | None:
        """Do a piece of work and return its result."""
        if isinstance(request, Ledger):
            self.stop()
            lay_ledger(self._context, request.sessions)
            return None
        if self._scheduler is None or self._trains != request.trains:
            self.stop()
            self._trains = request.trains
            self._scheduler = Scheduler(self._context, JOBS if request.trains else SESSION_JOBS)
            self._thread = threading.Thread(target=self._scheduler.run, name="scheduler")
        self._clock.at = self._context.calendars.final_at(CALENDAR, request.session) + timedelta(minutes=1)
        with self._context.database.reading() as connection:
            since = self._context.machine.now(connection)
        assert self._thread is not None
        if not self._thread.is_alive():
            self._thread.start()
        while not self._has_ended(request):
            if not self._thread.is_alive():
                raise RuntimeError("the scheduler's loop has ended")
            time.sleep(_POLL_SECONDS)
        return self._night(since)

    def stop(self) -> None:
        """Stop the loop."""
        if self._scheduler is not None and self._thread is not None:
            self._scheduler.stop()
            if self._thread.is_alive():
                self._thread.join()
        self._scheduler = self._thread = None

    def _has_ended(self, request: Evening) -> bool:
        jobs = JOBS if request.trains else SESSION_JOBS
        done = (runs.c.job == Job.FORECAST, runs.c.session == request.session)
        ended = runs.c.state.in_((RunState.DONE, RunState.FAILED, RunState.WAITING))
        with self._context.database.reading() as connection:
            if connection.execute(select(runs.c.id).where(*done, ended).limit(1)).first() is None:
                return False
            return not is_busy(connection, jobs)

    def _night(self, since: datetime) -> Night:
        jobs: dict[str, float] = {}
        outcomes: Counter[str] = Counter()
        faults: list[str] = []
        with self._context.database.reading() as connection:
            ended = connection.execute(select(runs).where(runs.c.finished_at >= since)).all()
            for row in ended:
                jobs[row.job] = jobs.get(row.job, 0.0) + (row.finished_at - row.started_at).total_seconds()
                outcomes.update({f"{row.job}: {name}": count for name, count in row.counts.items()})
                faults += [f"{row.job}: {row.error}"] if row.error else []
            phases = {row.job: read_phases(row.phases) for row in ended}
            own = model_versions.c.run_id.in_([row.id for row in ended if row.job == Job.TRAIN])
            versions = select(model_versions.c.metrics).where(own, model_versions.c.forecaster != RANDOM_WALK)
            trained = connection.execute(versions).scalars().all()
            rows = {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in (bars, forecasts, scores)
            }
        warm = sum("started_from" in metrics.get("test", {}) for metrics in trained)
        seconds = (max(row.finished_at for row in ended) - since).total_seconds()
        return Night(seconds, jobs, outcomes, len(trained), warm, tuple(faults), rows, phases)
