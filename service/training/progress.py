"""How far a training is, kept in its run's row so that other processes can read it."""

import time
from types import TracebackType
from typing import Self

import structlog

from service.db.session import FAULTS, refusal
from service.errors import FencedError
from service.runs import Run, note_progress
from service.runtime.context import ServiceContext

EVERY_SECONDS = 1.0
"""Real seconds between two notes at least: each is a write transaction."""

_log = structlog.get_logger(__name__)


class StoredProgress:
    """Notes the progress of a run while its block is open, and forgets it where the block raises.

    A note is worth less than the training: one that cannot be written is left out.

    Args:
        context: The service's parts.
        run: The claimed run; each note is fenced by its token.
        every: Least real seconds between two notes.
    """

    def __init__(self, context: ServiceContext, run: Run, every: float = EVERY_SECONDS) -> None:
        self._context, self._run, self._every = context, run, every
        self._noted_at = time.monotonic()

    def __enter__(self) -> Self:
        """Begin at nothing."""
        self._write(0.0, "reading the bars")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget the progress of what came to nothing; what is done is overwritten by the run's own counts."""
        if error is not None:
            self._write(None, None)

    def note(self, fraction: float, detail: str) -> None:
        """Keep a share done (0..1) and what the work is at, unless the last note is too young."""
        now = time.monotonic()
        if now - self._noted_at >= self._every:
            self._noted_at = now
            self._write(fraction, detail)

    def _write(self, fraction: float | None, detail: str | None) -> None:
        try:
            with self._context.database.transaction() as connection:
                note_progress(connection, self._run, fraction, detail)
        except FencedError:
            return  # taken over: the run's own publish will be told
        except FAULTS as error:
            _log.warning("progress could not be noted", run_id=self._run.id, error=refusal(error))
