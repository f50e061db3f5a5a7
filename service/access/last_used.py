"""Writes when keys were last used: in batches, in a thread of its own, at most once a minute for each key."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import bindparam, or_, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.db.session import Database, driver_message
from service.db.tables import api_keys

KEY_SECONDS = 60.0
"""Shortest time between two writes for one key, over all processes."""

GATHER_SECONDS = 2.0
"""How long a batch collects keys before it is written."""

_CLOSE_SECONDS = 1.0
_log = logging.getLogger(__name__)

_STATEMENT = (
    update(api_keys)
    .where(
        api_keys.c.id == bindparam("key"),
        # Another process may have written it within this minute.
        or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < bindparam("before")),
    )
    .values(last_used_at=bindparam("used_at"))
)


class LastUsed:
    """Collects uses of keys and writes them; a database that cannot be written costs a request nothing.

    A thread runs only while there is a batch.

    Args:
        database: The database.
        clock: Seconds that never go back.
        gather_seconds: How long a batch collects keys.
    """

    def __init__(
        self, database: Database, clock: Callable[[], float] = monotonic, gather_seconds: float = GATHER_SECONDS
    ) -> None:
        self._database, self._clock, self._gather_seconds = database, clock, gather_seconds
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._pending: dict[int, datetime] = {}
        self._written: dict[int, float] = {}
        self._thread: threading.Thread | None = None
        self._is_failing = False

    def note(self, key_id: int, used_at: datetime) -> None:
        """Collect a use; returns at once.

        Args:
            key_id: The key.
            used_at: Aware UTC machine time.
        """
        with self._lock:
            written = self._written.get(key_id)
            if self._closing.is_set() or (written is not None and self._clock() - written < KEY_SECONDS):
                return
            self._pending[key_id] = used_at
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_batches, name="last used", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what is collected now, for a second at most; later uses are not written."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _write_batches(self) -> None:
        while True:
            self._closing.wait(self._gather_seconds)
            with self._lock:
                batch, self._pending = self._pending, {}
                self._written |= dict.fromkeys(batch, self._clock())
            self._try(batch)
            if self._closing.is_set():
                self._database.close()  # its owner may have closed it before this write opened a connection
            with self._lock:
                if not self._pending:
                    self._thread = None
                    return

    def _try(self, batch: dict[int, datetime]) -> None:
        """Write a batch; of a fault that lasts, the log has one line."""
        try:
            self._write(batch)
        except SQLAlchemyError as error:
            if not self._is_failing:
                reason = driver_message(error) if isinstance(error, DBAPIError) else str(error)
                _log.warning("when keys were last used cannot be written (%s); the next use is tried again", reason)
            self._is_failing = True
        else:
            self._is_failing = False

    def _write(self, batch: dict[int, datetime]) -> None:
        shortest = timedelta(seconds=KEY_SECONDS)
        rows = [{"key": key, "used_at": at, "before": at - shortest} for key, at in sorted(batch.items())]
        with self._database.transaction() as connection:
            connection.execute(_STATEMENT, rows)
