"""Replays the bundled sample in this process, with trainings, for tools that show a filled database."""

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.bootstrap import open_service
from service.runs import is_busy
from service.runtime.context import ServiceContext
from service.scheduler.loop import Scheduler, Step
from service.scheduler.replay_clock import ReplayMover
from service.scheduler.state import GroupReader
from service.settings import Settings

LEASE_SECONDS = 3_600
"""No heartbeat runs with this loop: a claim must outlast a training."""


@dataclass(frozen=True, slots=True)
class SampleReplay:
    """A replay of the sample.

    Attributes:
        folder: Folder of the database; a stopped replay is resumed.
        start: Instant at which market time begins, as in TPLUS_CLOCK.
        until: Aware UTC instant at which it ends.
        train_every: Sessions between two trainings; None = the default.
    """

    folder: Path
    start: str
    until: datetime
    train_every: int | None = None

    def run(self) -> Path:
        """Replay to the end, with progress on standard error; returns the database's file."""
        settings = Settings(
            source="sample",
            clock=f"replay:{self.start}:0",
            data_dir=self.folder,
            database_url=None,
            seeds=(0,),
            lease_seconds=LEASE_SECONDS,
            train_every=self.train_every,
        )
        with open_service(settings) as context:
            scheduler = Scheduler(context)
            try:
                self._work(context, scheduler)
            finally:
                scheduler.close()
                sys.stderr.write("\n")
        return Path(settings.url.removeprefix("sqlite:///"))

    def _work(self, context: ServiceContext, scheduler: Scheduler) -> None:
        """Run what is due and move market time, event by event, until the end."""
        mover = ReplayMover(context, scheduler.id, GroupReader())
        while True:
            if scheduler.step() is Step.WORKED:
                continue
            with context.database.reading() as connection:
                busy, now = is_busy(connection), context.market.now(connection)
            if busy:
                time.sleep(0.05)  # a training is in progress
                continue
            if now >= self.until:
                return
            if mover.move() is not None:
                sys.stderr.write(f"\rmarket time {now:%Y-%m-%d %H:%M}Z, until {self.until:%Y-%m-%d %H:%M}Z ")
                sys.stderr.flush()
