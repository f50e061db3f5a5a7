"""The scheduler's loop: takes the lead, plans runs, claims one and executes it.

Under replay it moves market time when nothing is left to do. Training runs in a thread of its own, so that forecasts of
other sessions never wait for it.
"""

import os
import socket
import threading
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import Enum

import structlog
from sqlalchemy import Connection

from service.alerts.delivery import Deliverer, Pace, TargetSender
from service.alerts.detection.missing import emit_stale
from service.alerts.outbox import Instants
from service.db.migrate import require_head
from service.db.session import FAULTS, display_url, driver_message
from service.errors import DatabaseError
from service.market.sessions import closed_sessions
from service.run_requests.answers import remove_expired
from service.runs import JOBS, Claimant, Run, is_busy
from service.runtime.context import ServiceContext
from service.scheduler.failures import claim_or_set_aside
from service.scheduler.head_recorder import HeadRecorder
from service.scheduler.heartbeat import Heartbeat
from service.scheduler.leader import acquire_lead, leader, release_lead
from service.scheduler.plan import plan_due
from service.scheduler.replay_clock import ReplayMover
from service.scheduler.retention import Retention
from service.scheduler.run_requests.carry_out import carry_out_requests, has_pending
from service.scheduler.run_requests.follow import follow_requests
from service.scheduler.state import GroupReader, forecast_calendars
from service.scheduler.worker import execute, report_end
from service.vocabulary import Job

_log = structlog.get_logger(__name__)

CLOSED_KEPT = timedelta(days=60)
"""How long an unscheduled closure can affect what is due: twice as long as one is checked."""

CLEANED_EVERY = timedelta(minutes=10)
"""How often expired answers of requests are removed, in machine time."""

STALE_CHECK = timedelta(minutes=1)
"""Machine time between two looks at the age of forecasts."""


class Step(Enum):
    """Result of one turn of the loop."""

    WORKED = "worked"
    IDLE = "idle"
    STANDBY = "standby"


class Scheduler:
    """One scheduler process.

    Args:
        context: The service's parts.
        jobs: Jobs that it executes; one-off commands name fewer.
    """

    def __init__(self, context: ServiceContext, jobs: Sequence[str] = JOBS) -> None:
        self._context = context
        self._jobs = tuple(jobs)
        self.id = uuid.uuid4().hex
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._heartbeat = Heartbeat(context, self.id, self.name)
        self._heads = HeadRecorder(context)
        self._retention = Retention(context)
        self._groups = GroupReader()
        self._mover = (
            ReplayMover(context, self.id, self._groups) if context.settings.market_clock.mode == "replay" else None
        )
        self._training: threading.Thread | None = None
        self._stop = threading.Event()
        self._standby_reported = False
        self._fault_reported = False
        self._in_backfill = False
        self._cleaned_at: datetime | None = None
        self._stale_checked_at: datetime | None = None
        self._deliverer = Deliverer(
            context.database,
            context.machine,
            TargetSender.of(context.settings),
            Pace(poll_seconds=context.settings.poll_seconds),
        )

    @property
    def record_ended(self) -> bool:
        """Whether the replay has reached the end of its record."""
        return self._mover is not None and self._mover.ended

    def stop(self) -> None:
        """Stop the loop after the current work; safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Run the loop until `stop` is called; it delivers alerts too."""
        self._heartbeat.start()
        self._heads.record()
        self._deliverer.start()
        try:
            while not self._stop.is_set():
                self._stop.wait(self._turn())
        finally:
            self.close()

    def drain(self) -> bool:
        """Execute all due runs of this scheduler's jobs, including retries.

        Market time is not moved.

        Returns:
            True if this scheduler executed them; False if another one leads and executes them.
        """
        self._heartbeat.start()
        self._heads.record()
        try:
            while not self._stop.is_set():
                step = self.step()
                if step is Step.STANDBY:
                    return False
                if step is Step.IDLE and not self._has_open_work():
                    self._deliver_due()
                    return True
                if step is not Step.WORKED:
                    self._stop.wait(0.1)
            return True
        finally:
            self.close()

    def close(self) -> None:
        """Stop running work and release every lease."""
        self._stop.set()
        self._deliverer.stop()
        if self._training is not None and self._training.is_alive():
            self._context.child.close()
            self._training.join()
        if self._heartbeat.is_running:
            self._heartbeat.stop()
        try:
            with self._context.database.transaction() as connection:
                release_lead(connection, self.id)
        except FAULTS as error:
            _log.warning("the lead could not be released; it expires by itself", error=driver_message(error))

    def step(self) -> Step:
        """Plan what is due and execute at most one run."""
        self._in_backfill = False
        with self._context.database.transaction() as connection:
            if not self._begin(connection):
                return Step.STANDBY
            has_requests = has_pending(self._context, connection)
            run, set_aside = (None, []) if has_requests else self._claim(connection)
        if has_requests:
            carry_out_requests(self._context, self._stop.is_set)
            with self._context.database.transaction() as connection:
                if not self._begin(connection):
                    return Step.STANDBY
                run, set_aside = self._claim(connection)
        for failed in set_aside:
            report_end(self._context, failed)
        self._in_backfill = run is not None and run.job == Job.BACKFILL
        if run is None:
            return Step.IDLE
        self._heartbeat.hold(run)
        if run.job == Job.TRAIN:
            self._training = threading.Thread(target=self._work, args=(run,), name="training", daemon=True)
            self._training.start()
        else:
            self._work(run)
        return Step.WORKED

    def _begin(self, connection: Connection) -> bool:
        """Take or extend the lead; returns False on standby."""
        require_head(connection, display_url(self._context.database))
        leads = acquire_lead(connection, self.id, self.name, self._context.machine, self._context.lease)
        if not leads and self._context.database.is_sqlite:
            self._notify_standby(leader(connection, self._context.machine.now(connection)))
            return False
        market_now = self._context.market.now(connection)
        self._context.calendars.widen(market_now)
        self._context.calendars.set_closed(closed_sessions(connection, (market_now - CLOSED_KEPT).date()))
        return True

    def _claim(self, connection: Connection) -> tuple[Run | None, list[Run]]:
        """Plan what is due, end requests whose runs have ended, and claim a run; also the runs set aside."""
        machine_now = self._context.machine.now(connection)  # after the wait for the lock
        market_now = self._context.market.now(connection)
        plan_due(self._context, connection, self._groups, market_now)
        follow_requests(connection, machine_now)
        if self._cleaned_at is None or machine_now >= self._cleaned_at + CLEANED_EVERY:
            self._cleaned_at = machine_now
            remove_expired(connection, machine_now)
        self._check_stale(connection, market_now, machine_now)
        claimant = Claimant(self.id, self._claimable(), self._context.lease)
        return claim_or_set_aside(self._context, connection, claimant, (market_now, machine_now))

    def _turn(self) -> float:
        """Do one turn of the loop and return the real seconds to sleep."""
        poll = self._context.settings.poll_seconds
        try:
            step = self.step()
            self._notify_recovery()
            if step is Step.WORKED and not self._in_backfill:
                return 0.0
            if step is Step.IDLE:
                self._retention.prune()
            if step is Step.STANDBY or self._mover is None:
                return 0.0 if self._in_backfill else poll
            left = self._mover.move()
        except FAULTS as error:
            self._notify_fault(driver_message(error))
            return poll
        except DatabaseError as error:  # another version migrated it while running: this may be undone
            self._notify_fault(str(error))
            return poll
        if self._in_backfill:  # it continues at once, but replayed market time moves on
            return 0.0
        return poll if left is None else min(left, poll)

    def _check_stale(self, connection: Connection, market_now: datetime, machine_now: datetime) -> None:
        """Emit stale forecasts, once a minute."""
        if self._stale_checked_at is not None and machine_now - self._stale_checked_at < STALE_CHECK:
            return
        self._stale_checked_at = machine_now
        calendars = self._context.calendars
        emit_stale(
            connection,
            forecast_calendars(connection),
            lambda calendar, as_of: calendars.final_at(calendar, calendars.next(calendar, as_of)),
            Instants(market_now, machine_now),
        )

    def _claimable(self) -> tuple[str, ...]:
        """Return the jobs that may be claimed now; one training runs at a time."""
        busy = self._training is not None and self._training.is_alive()
        return tuple(job for job in self._jobs if job != Job.TRAIN or not busy)

    def _work(self, run: Run) -> None:
        try:
            execute(self._context, run, self._stop.is_set)
        finally:
            self._heartbeat.drop(run)
        self._heads.record()

    def _deliver_due(self) -> None:
        """Deliver the alerts that are due: no thread does it for a command that ends."""
        while not self._stop.is_set() and self._deliverer.deliver_next():
            pass

    def _has_open_work(self) -> bool:
        """Return whether any of this scheduler's jobs is due or running, or a request is pending."""
        with self._context.database.reading() as connection:
            return is_busy(connection, self._jobs) or has_pending(self._context, connection)

    def _notify_fault(self, reason: str) -> None:
        """Report once that the database cannot be used; the loop continues."""
        if not self._fault_reported:
            self._fault_reported = True
            _log.error("the database cannot be used; retrying", error=reason)

    def _notify_recovery(self) -> None:
        if self._fault_reported:
            self._fault_reported = False
            self._context.reporter.notice("the database can be used again; work resumes")

    def _notify_standby(self, active: str | None) -> None:
        if not self._standby_reported:
            self._standby_reported = True
            self._context.reporter.notice(f"another scheduler is active ({active}); on standby until its lease ends")
