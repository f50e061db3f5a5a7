"""Chains of schedulers over one database: the active one is killed, a standby takes over, a new standby starts."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from benchmarks.reliability.killing.launch import ACKS, FOLDER, SMALL
from service.db.session import Database
from service.db.tables import editions, market_clock, runs, schedulers
from service.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]
LEASE_SECONDS = 2
SLACK_SECONDS = 10.0
"""A takeover is in time within the lease and these seconds, at the 95th percentile."""
ORPHAN_SECONDS = 5.0
PATIENCE = 120.0
"""Seconds without any progress after which a trial gives up."""
_MODULE = "benchmarks.reliability.killing.launch"


def end_on_sigterm() -> None:
    """Let SIGTERM end the trial through its context managers: its schedulers are in sessions of their own."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))


class Stuck(Exception):
    """A scheduler did not get where the trial needs it."""


@dataclass(frozen=True)
class Place:
    """A database with its folder, and the settings of the service on it.

    Attributes:
        folder: Data folder, and folder of arm, hit and log files.
        url: URL of the database; None = an SQLite file in the folder.
        settings: Settings by name without the prefix.
        small: Whether networks are narrow and trained for two epochs.
        acks: File to which acknowledged writes are appended; None = none.
    """

    folder: Path
    url: str | None
    settings: Mapping[str, str]
    small: bool = True
    acks: Path | None = None

    @property
    def variables(self) -> dict[str, str]:
        """`TPLUS_` variables."""
        values = {
            "DATA_DIR": str(self.folder), "REFERENCE_SYMBOLS": "", "LEASE_SECONDS": str(LEASE_SECONDS),
            "POLL_SECONDS": "0.1", "RETRY_SECONDS": "0.2", **self.settings,
        }  # fmt: skip
        if self.url is not None:
            values["DATABASE_URL"] = self.url
        return {f"TPLUS_{name}": value for name, value in values.items()}

    @property
    def environment(self) -> dict[str, str]:
        """Environment of its processes."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("TPLUS_", "TRIAL_"))}
        plain |= {"PYTHONPATH": str(ROOT), "XLA_FLAGS": "--xla_backend_optimization_level=0", FOLDER: str(self.folder)}
        plain |= {SMALL: "1"} if self.small else {}
        plain |= {} if self.acks is None else {ACKS: str(self.acks)}
        return plain | self.variables

    @property
    def parsed(self) -> Settings:
        """The settings."""
        return load_settings(self.variables)

    def start(self) -> "Scheduler":
        """Start a scheduler in a session of its own."""
        log = self.folder / f"scheduler-{time.time_ns()}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, "schedule"],
                env=self.environment, cwd=ROOT, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        return Scheduler(process, log, self.folder)


@dataclass(frozen=True)
class Scheduler:
    """A started scheduler."""

    process: "subprocess.Popen[bytes]"
    log: Path
    folder: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def arm(self, point: str) -> None:
        """Let it be killed at a point."""
        path = self.folder / f"arm.{self.pid}"
        path.with_suffix(".new").write_text(point)
        path.with_suffix(".new").rename(path)

    def disarm(self) -> None:
        """Let it live."""
        (self.folder / f"arm.{self.pid}").unlink(missing_ok=True)

    def hit(self) -> float | None:
        """Return the instant at which it was killed at its point; None if it was not."""
        try:
            return float(json.loads((self.folder / f"hit.{self.pid}").read_text())["at"])
        except (FileNotFoundError, ValueError):
            return None

    def descendants(self) -> list[psutil.Process]:
        """Return every process below it."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def end(self) -> None:
        """Kill it with its process group."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)


def is_running(process: psutil.Process) -> bool:
    """Return whether a process lives: a container may not reap an orphan."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(what: Callable[[], bool], message: str, seconds: float = PATIENCE) -> None:
    """Poll until a condition holds.

    Raises:
        Stuck: it did not within some seconds.
    """
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise Stuck(f"{message}: not within {seconds:g} s")
        time.sleep(0.02)


@dataclass
class Figures:
    """What was measured of the kills.

    Attributes:
        takeovers: Seconds from a kill until another scheduler led and held every run of the killed one.
        orphans: Descendants that lived longer than `ORPHAN_SECONDS`.
        slowest_orphan: Most seconds that a descendant outlived its scheduler.
        points: Kills by point.
        not_reached: Points that were armed and not passed.
    """

    takeovers: list[float] = field(default_factory=list)
    orphans: int = 0
    slowest_orphan: float = 0.0
    points: dict[str, int] = field(default_factory=dict)
    not_reached: list[str] = field(default_factory=list)


class Chain:
    """An active scheduler and a standby over one database.

    Args:
        place: The database.
        figures: Receives what is measured.
        seed: Seed of the moments.
        first_point: Point that the first scheduler passes once, and where it is killed; None = it lives.
        reserve: Schedulers that start together, more than kills; None = two, and a new one after each kill.
    """

    def __init__(
        self, place: Place, figures: Figures, seed: int, first_point: str | None = None, reserve: int | None = None
    ) -> None:
        place.folder.mkdir(parents=True, exist_ok=True)
        self.place, self.figures, self._first_point, self._reserve = place, figures, first_point, reserve
        self._random = random.Random(seed)
        self.database = Database(place.parsed.url)
        self._alive: list[Scheduler] = []

    def __enter__(self) -> "Chain":
        """Start the scheduler that makes the database, then a standby; or all of the reserve together."""
        first = self.place.start()
        self._alive = [first, *(self.place.start() for _ in range((self._reserve or 1) - 1))]
        if self._first_point is not None:
            first.arm(self._first_point)
        wait_until(self._is_made, "the database is not made")
        self._refill()
        if self._first_point is not None:
            wait_until(lambda: first.hit() is not None, f"the point {self._first_point} is not passed")
            self._after(first, [], first.hit() or time.time(), self._first_point)
        return self

    def __exit__(self, *_error: object) -> None:
        """End every process."""
        for scheduler in self._alive:
            scheduler.end()
        self.database.close()

    def _is_made(self) -> bool:
        if self._alive[0].process.poll() is not None:
            raise Stuck(f"the scheduler ended: {self._alive[0].log.read_text(errors='replace')[-1500:]}")
        try:
            return self.issued() >= 0
        except (OperationalError, ProgrammingError):  # no table yet
            return False

    def _refill(self) -> None:
        self._alive = [one for one in self._alive if one.process.poll() is None]
        while self._reserve is None and len(self._alive) < 2:
            self._alive.append(self.place.start())

    def issued(self) -> int:
        """Return the number of editions."""
        with self.database.reading() as connection:
            return connection.execute(select(func.count()).select_from(editions)).scalar_one()

    def market_now(self) -> datetime:
        """Return replayed market time."""
        with self.database.reading() as connection:
            now: datetime = connection.execute(select(market_clock.c.now)).scalar_one()
        return now

    def active(self) -> Scheduler:
        """Wait for the scheduler that leads, and return it."""
        found: list[Scheduler] = []

        def leads() -> bool:
            with self.database.reading() as connection:
                query = select(schedulers.c.name).where(schedulers.c.lease_until > datetime.now(UTC))
                name = connection.execute(query).scalar()
            found[:] = [one for one in self._alive if name is not None and name.endswith(f":{one.pid}")]
            return bool(found) and found[0].process.poll() is None

        wait_until(leads, "no scheduler leads")
        return found[0]

    def wait_for_standby(self) -> None:
        """Wait until every scheduler of the chain has written its heartbeat."""

        def present() -> bool:
            with self.database.reading() as connection:
                names = list(connection.execute(select(schedulers.c.name)).scalars())
            return all(any(name.endswith(f":{one.pid}") for name in names) for one in self._alive)

        wait_until(present, "the standby does not start")

    def kill_at_random(self, longest: float) -> None:
        """Kill the active scheduler after up to some seconds of its work."""
        self.wait_for_standby()
        victim, before = self.active(), self.issued()
        wait_until(lambda: self.issued() > before or self._has_running(victim), "no work is done")
        time.sleep(self._random.uniform(0.0, longest))
        below = victim.descendants()
        killed_at = time.time()
        victim.process.send_signal(signal.SIGKILL)
        self._after(victim, below, killed_at, "random")

    def kill_at(self, point: str, patience: float) -> bool:
        """Let a scheduler be killed at a named point; return whether it passed the point."""
        self.wait_for_standby()
        below = {one.pid: one.descendants() for one in self._alive}
        for scheduler in self._alive:
            scheduler.arm(point)
        deadline = time.monotonic() + patience
        while not any(one.hit() for one in self._alive) and time.monotonic() < deadline:
            below = {one.pid: one.descendants() or below[one.pid] for one in self._alive}
            time.sleep(0.02)
        for scheduler in self._alive:
            scheduler.disarm()
        victims = [one for one in self._alive if one.hit()]
        for victim in victims:
            self._after(victim, below[victim.pid], victim.hit() or time.time(), point)
        if not victims:
            self.figures.not_reached.append(point)
        return bool(victims)

    def run_until(self, editions_more: int) -> None:
        """Let the chain publish some more editions undisturbed."""
        goal = self.issued() + editions_more
        seconds = PATIENCE + 10 * editions_more
        wait_until(lambda: self.issued() >= goal, f"{editions_more} further editions", seconds)

    def stop(self) -> None:
        """Stop both schedulers as a supervisor does, the active one after the standby."""
        active = self.active()
        for scheduler in sorted(self._alive, key=lambda one: one is active):
            scheduler.process.send_signal(signal.SIGTERM)
            # A standby that is starting has no handler yet, and ends by the signal itself.
            if scheduler.process.wait(60) not in (0, -signal.SIGTERM):
                raise Stuck(f"a stopped scheduler failed: {scheduler.log.read_text(errors='replace')[-500:]}")

    def _has_running(self, scheduler: Scheduler) -> bool:
        return bool(self._running_of(scheduler.pid))

    def _running_of(self, pid: int) -> Sequence[int]:
        query = (
            select(runs.c.id)
            .join(schedulers, schedulers.c.id == runs.c.owner)
            .where(runs.c.state == "running", schedulers.c.name.endswith(f":{pid}"))
        )
        with self.database.reading() as connection:
            return list(connection.execute(query).scalars())

    def _after(self, victim: Scheduler, below: list[psutil.Process], killed_at: float, point: str) -> None:
        """Measure the takeover and the orphans after a kill, and start a new standby."""
        victim.process.wait(10)
        self.figures.points[point] = self.figures.points.get(point, 0) + 1
        taken_at: float | None = None
        alive = list(below)
        deadline = killed_at + LEASE_SECONDS + PATIENCE
        while taken_at is None or (alive and time.time() < killed_at + ORPHAN_SECONDS):
            still = [process for process in alive if is_running(process)]
            if len(still) < len(alive):
                self.figures.slowest_orphan = max(self.figures.slowest_orphan, time.time() - killed_at)
            alive = still
            if taken_at is None and self._is_taken_over(victim.pid):
                taken_at = time.time()
            if time.time() > deadline:
                raise Stuck(f"no scheduler took over after a kill at {point}")
            time.sleep(0.02)
        self.figures.takeovers.append(taken_at - killed_at)
        self.figures.orphans += len(alive)
        for process in alive:
            process.kill()
        self._refill()

    def _is_taken_over(self, pid: int) -> bool:
        if self._running_of(pid):
            return False
        with self.database.reading() as connection:
            query = select(schedulers.c.name).where(schedulers.c.lease_until > datetime.now(UTC))
            names = list(connection.execute(query).scalars())
        return any(not name.endswith(f":{pid}") for name in names)
