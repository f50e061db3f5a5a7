"""Records the heads of the hash chains outside the database, by setting, after each run."""

import threading
from pathlib import Path

import structlog

from service.db.session import FAULTS
from service.errors import LedgerError
from service.hash_chains.head_file import append_heads, find_lost_heads, read_newest
from service.hash_chains.links import read_heads
from service.runtime.context import ServiceContext

_log = structlog.get_logger(__name__)


class HeadRecorder:
    """Appends the heads to `TPLUS_LEDGER_HEAD_FILE` where they moved, and reports a chain that lost a recorded head.

    Args:
        context: The service's parts.
    """

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._path = context.settings.ledger_head_file
        self._lock = threading.Lock()  # a training runs in a thread of its own
        self._reported: set[str] = set()

    def record(self) -> None:
        """Record the heads now. A file that cannot be written is reported, and stops nothing."""
        if self._path is None:
            return
        with self._lock:
            try:
                self._record(self._path)
            except LedgerError as error:
                self._report(str(error))
            except FAULTS:
                return  # the next run records what is then the head

    def _record(self, path: Path) -> None:
        before = read_newest(path)  # each time: another scheduler may have recorded a newer one
        with self._context.database.reading() as connection:
            heads, at = read_heads(connection), self._context.machine.now(connection)
            lost = [] if before is None or heads == before else list(find_lost_heads(connection, before))
        for sentence in lost:
            self._report(f"the ledger was altered: {sentence}; run `tplus ledger verify --head {path}`")
        if heads != before:
            append_heads(path, heads, at)

    def _report(self, sentence: str) -> None:
        if sentence not in self._reported:
            self._reported.add(sentence)
            _log.error(sentence)
            self._context.reporter.notice(sentence)
