"""Deletes old bar revisions, settled rows of the quarantine, and the outcomes of old runs.

Editions, forecasts, scores, models, runs and the audit are never deleted. What is kept answers every question about the
kept span as before:

- A bar as it was known at an instant is the oldest revision that was replaced later, else the stored bar. So only
  revisions replaced before the span are deleted.
- Open, rejected and accepted rows of the quarantine decide about bars that are still to come, and are kept.
- A run keeps its outcomes if they may still be read: the newest of its job and scope, all since the newest that is
  done, and the newest outcome of each symbol. The run's own row always stays: the metrics count over all of them, and a
  total that falls looks like a restart to Prometheus.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, and_, delete, exists, func, select, update

from service.audit import AuditEntry, record
from service.db.session import Database
from service.db.tables import bar_revisions, quarantine, run_outcomes, runs
from service.vocabulary import QuarantineState, RunState

BATCH = 2_000
"""Rows of a table in one transaction, so that the service never waits long."""

RUNS_BATCH = 20
"""Runs in one transaction: each may have an outcome for each of thousands of symbols."""

_ENDED = (RunState.DONE, RunState.FAILED, RunState.SUPERSEDED)
_KEPT_STATES = (QuarantineState.OPEN, QuarantineState.REJECTED)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Rows that were deleted, or would be.

    Attributes:
        bar_revisions: Replaced values of bars.
        quarantine: Settled rows of the quarantine.
        outcomes: Outcomes of runs.
        runs: Runs that stay without their outcomes.
    """

    bar_revisions: int = 0
    quarantine: int = 0
    outcomes: int = 0
    runs: int = 0

    def __add__(self, other: "Pruned") -> "Pruned":
        """Return the sums."""
        return Pruned(*(getattr(self, name) + getattr(other, name) for name in Pruned.__slots__))

    @property
    def total(self) -> int:
        """Number of rows deleted or emptied."""
        return sum(getattr(self, name) for name in Pruned.__slots__)

    def document(self) -> dict[str, int]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in Pruned.__slots__}


def prune(database: Database, market_now: datetime, machine_now: datetime, keep: timedelta) -> Pruned:
    """Delete what is older than a span, in transactions of limited size; safe while the service runs.

    Args:
        database: The database.
        market_now: Aware UTC market time, the end of the span.
        machine_now: Aware UTC machine time, for the audit.
        keep: The span, at least `MIN_RETENTION_DAYS` of the settings.
    """
    total, before = Pruned(), market_now - keep
    with database.reading() as connection:
        protected = runs_with_newest_outcomes(connection, before)
    while True:
        with database.transaction() as connection:
            step = prune_batch(connection, before, protected, machine_now)
        total += step
        if step.total == 0:
            return total


def runs_with_newest_outcomes(connection: Connection, before: datetime) -> frozenset[int]:
    """Return the runs before an instant that have a symbol's newest outcome of their job.

    It reads every outcome, so it is not part of the transaction that deletes: an outcome that arrives meanwhile only
    makes fewer runs necessary.
    """
    newest = (
        select(func.max(run_outcomes.c.run_id).label("id"))
        .join(runs, runs.c.id == run_outcomes.c.run_id)
        .group_by(runs.c.job, run_outcomes.c.symbol)
        .subquery()
    )
    query = select(runs.c.id).where(runs.c.id.in_(select(newest.c.id)), runs.c.scheduled_for < before)
    return frozenset(connection.execute(query).scalars())


def prune_batch(connection: Connection, before: datetime, protected: frozenset[int], machine_now: datetime) -> Pruned:
    """Delete a batch of what is older than a market-time instant, with an audit row if there was any.

    Args:
        connection: An open write transaction.
        before: Aware UTC market time (exclusive).
        protected: Runs that stay, see `runs_with_newest_outcomes`.
        machine_now: Aware UTC machine time.
    """
    revisions = _delete(connection, bar_revisions.c.id, _old_revisions(before))
    rows = _delete(connection, quarantine.c.id, _settled(before))
    query = _locked(connection, select(runs.c.id).where(_unread(before, protected)))
    emptied = list(connection.execute(query).scalars())
    outcomes = connection.execute(delete(run_outcomes).where(run_outcomes.c.run_id.in_(emptied))).rowcount
    connection.execute(update(runs).where(runs.c.id.in_(emptied)).values(outcomes_pruned_at=machine_now))
    pruned = Pruned(revisions, rows, outcomes, len(emptied))
    if pruned.total:
        record(connection, AuditEntry("db.prune", f"before {before:%Y-%m-%d}", pruned.document()), machine_now)
    return pruned


def count_prunable(connection: Connection, market_now: datetime, keep: timedelta) -> Pruned:
    """Return what `prune` would delete."""
    before = market_now - keep
    unread = _unread(before, runs_with_newest_outcomes(connection, before))

    def count(table: Table, condition: ColumnElement[bool]) -> int:
        return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()

    return Pruned(
        count(bar_revisions, _old_revisions(before)),
        count(quarantine, _settled(before)),
        count(run_outcomes, run_outcomes.c.run_id.in_(select(runs.c.id).where(unread))),
        count(runs, unread),
    )


def _old_revisions(before: datetime) -> ColumnElement[bool]:
    return bar_revisions.c.replaced_at < before


def _settled(before: datetime) -> ColumnElement[bool]:
    # Rows of actions stay: an accepted dividend must not be held again.
    is_bar = quarantine.c.row["kind"].as_string().is_(None)
    old = and_(quarantine.c.last_seen_at < before, quarantine.c.session < before.date())
    return and_(old, quarantine.c.state.not_in(_KEPT_STATES), is_bar)


def _unread(before: datetime, protected: frozenset[int]) -> ColumnElement[bool]:
    """Ended runs before an instant whose outcomes are stored, and that nothing reads any more."""
    later, done = runs.alias("later"), runs.alias("done")
    same = and_(later.c.job == runs.c.job, later.c.scope == runs.c.scope)
    succeeded = and_(done.c.job == runs.c.job, done.c.scope == runs.c.scope, done.c.state == RunState.DONE)
    return and_(
        runs.c.state.in_(_ENDED),
        runs.c.outcomes_pruned_at.is_(None),
        runs.c.scheduled_for < before,
        exists().where(same, later.c.scheduled_for > runs.c.scheduled_for),
        exists().where(succeeded, done.c.id > runs.c.id, done.c.session > runs.c.session),
        runs.c.id.not_in(sorted(protected)),
    )


def _locked(connection: Connection, query: Any) -> Any:
    """Limit a query to a batch; on PostgreSQL skip the rows that another scheduler prunes."""
    query = query.order_by(runs.c.id).limit(RUNS_BATCH)
    return query if connection.dialect.name == "sqlite" else query.with_for_update(skip_locked=True, of=runs)


def _delete(connection: Connection, key: Column[int], condition: ColumnElement[bool]) -> int:
    ids = select(key).where(condition).order_by(key).limit(BATCH)
    return connection.execute(delete(key.table).where(key.in_(ids))).rowcount
