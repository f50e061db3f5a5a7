"""Extends the leases of the lead and of claimed runs while other threads work."""

import threading

import structlog
from sqlalchemy.exc import DBAPIError

from service.db.session import FAULTS, driver_message
from service.db.wait_limits import limit_lock_wait
from service.errors import FencedError
from service.runs import Run, guard, heartbeat
from service.runtime.context import ServiceContext
from service.scheduler.leader import acquire_lead

_log = structlog.get_logger(__name__)


class Heartbeat:
    """A thread that extends the leases of one scheduler every third of their length.

    Args:
        context: The service's parts.
        scheduler_id: The scheduler's id.
        name: Host and process, for messages.
    """

    def __init__(self, context: ServiceContext, scheduler_id: str, name: str) -> None:
        self._context = context
        self._scheduler_id, self._name = scheduler_id, name
        self._runs: dict[int, Run] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; the owners of the leases release them."""
        self._stop.set()
        self._thread.join()

    def hold(self, run: Run) -> None:
        """Extend a run's lease from now on."""
        with self._lock:
            self._runs[run.id] = run

    def drop(self, run: Run) -> None:
        """Stop extending a run's lease."""
        with self._lock:
            self._runs.pop(run.id, None)

    def _loop(self) -> None:
        failing = False
        while not self._stop.wait(self._context.lease.total_seconds() / 3):
            try:
                self.beat()
            except FAULTS as error:
                if not failing:  # once: the loop reports when the database is available again
                    _log.warning("heartbeat could not be written", error=driver_message(error))
                failing = True
            else:
                failing = False

    def beat(self) -> None:
        """Extend every held lease once."""
        with self._lock:
            held = list(self._runs.values())
        faults: list[DBAPIError] = []
        for run in held:  # before the lead: runs are lost by a late heartbeat, and a lead is only handed over
            try:
                self._extend(run)
            except FencedError:
                self.drop(run)  # finished meanwhile, or taken over: its own publish will fail
            except FAULTS as error:
                faults.append(error)  # its own publish holds its row, say: the others are extended all the same
        with self._context.database.transaction() as connection:
            limit_lock_wait(connection, self._context.lease / 6)
            acquire_lead(connection, self._scheduler_id, self._name, self._context.machine, self._context.lease)
        if faults:
            raise faults[0]

    def _extend(self, run: Run) -> None:
        """Extend the lease of one run from the instant at which its row is locked."""
        with self._context.database.transaction() as connection:
            limit_lock_wait(connection, self._context.lease / 6)
            guard(connection, run)
            heartbeat(connection, run, self._context.machine.now(connection) + self._context.lease)
