"""Stores the progress of a training in its run's row, for other processes to read."""

import time
from types import TracebackType
from typing import Self

import structlog

from service.db.session import FAULTS, driver_message
from service.errors import FencedError
from service.runs import Run, store_progress
from service.runtime.context import ServiceContext

EVERY_SECONDS = 1.0
"""Minimum real seconds between two updates, because each is a write transaction."""

_log = structlog.get_logger(__name__)


class StoredProgress:
    """Stores the progress of a run while its block is open.

    The progress is cleared if the block raises. An update that cannot be written is skipped, because the
    training is more important.

    Args:
        context: The service's parts.
        run: The claimed run; each update is fenced by its token.
        every: Minimum real seconds between two updates.
    """

    def __init__(self, context: ServiceContext, run: Run, every: float = EVERY_SECONDS) -> None:
        self._context, self._run, self._every = context, run, every
        self._updated_at = time.monotonic()

    def __enter__(self) -> Self:
        """Store a progress of 0."""
        self._write(0.0, "reading the bars")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the progress of a failed training.

        That of a finished one is replaced by the run's counts.
        """
        if error is not None:
            self._write(None, None)

    def update(self, fraction: float, detail: str) -> None:
        """Store the share done (0..1) and the current work.

        Nothing is stored if the last update is too recent.
        """
        now = time.monotonic()
        if now - self._updated_at >= self._every:
            self._updated_at = now
            self._write(fraction, detail)

    def _write(self, fraction: float | None, detail: str | None) -> None:
        try:
            with self._context.database.transaction() as connection:
                store_progress(connection, self._run, fraction, detail)
        except FencedError:
            return  # taken over: the run's own publish will fail
        except FAULTS as error:
            _log.warning("progress could not be stored", run_id=self._run.id, error=driver_message(error))
