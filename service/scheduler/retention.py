"""Deletes old rows by setting, while the scheduler has nothing to do."""

from datetime import timedelta
from time import monotonic

from service.retention import prune_batch, runs_with_newest_outcomes
from service.runtime.context import ServiceContext

EVERY_SECONDS = 3_600.0


class Retention:
    """Prunes one batch at a time, at most every hour; off unless `TPLUS_RETENTION_DAYS` is set.

    Args:
        context: The service's parts.
    """

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._next = 0.0
        self._protected: frozenset[int] | None = None

    def prune(self) -> int:
        """Prune a batch if it is time; returns the number of rows."""
        days = self._context.settings.retention_days
        if days is None or monotonic() < self._next:
            return 0
        if self._protected is None:
            with self._context.database.reading() as connection:
                before = self._context.market.now(connection) - timedelta(days=days)
                self._before, self._protected = before, runs_with_newest_outcomes(connection, before)
        with self._context.database.transaction() as connection:
            pruned = prune_batch(connection, self._before, self._protected, self._context.machine.now(connection))
        if pruned.total == 0:
            self._next, self._protected = monotonic() + EVERY_SECONDS, None
        return pruned.total
