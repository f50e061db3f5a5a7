"""The pull job: a calendar's bars up to its newest final session, symbol by symbol."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, select

from service.alerts.detection.source import down_since, source_came_up, source_went_down
from service.alerts.outbox import Instants
from service.db.change_counters import lock_changes
from service.db.tables import runs
from service.market.exchange_calendar import get_calendar
from service.market.instruments import Instrument, list_instruments, set_state
from service.prices.pull.alerts import RETRIED, missing_bars_warning, notify_lasting, notify_unknown
from service.prices.pull.fetcher import PullContext, PullOutcome, pull_symbols
from service.prices.pull.probe import pick_probes
from service.prices.pull.rate_limit import paused_until, trip
from service.prices.pull.unscheduled_closures import mark_closures, notify_closed
from service.prices.sources.base import Transient
from service.runs import Outcome, Run, finish, guard, outcome_counts, read_outcomes, record_outcomes, wait
from service.runtime.context import ServiceContext
from service.vocabulary import SymbolState

RECHECK = timedelta(hours=1)
"""Market time after which a missing bar is fetched again."""
UNKNOWN_AFTER = timedelta(days=7)
"""Market time after which a symbol unknown to the source is fetched again."""
FLUSH = 100
"""Number of outcomes written at a time: repeating those pulls after a crash changes nothing."""
HOURLY = ("no_bar", "deferred")
"""Outcomes that are retried each hour until T opens."""


class PullIncomplete(Transient):
    """Some symbols could not be pulled; the run is retried for those alone.

    Attributes:
        after: Pause in machine time before the next attempt, which then does not count; None = the usual backoff.
    """

    def __init__(self, message: str, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


def pull(context: ServiceContext, run: Run) -> None:
    """Pull the symbols that earlier attempts did not pull; wait for missing bars.

    Raises:
        PullIncomplete: some symbols failed and another attempt may succeed.
    """
    _wait_for_rate_limit(context, run)
    with context.database.reading() as connection:
        at = context.market.now(connection)
        settled = {o.symbol for o in read_outcomes(connection, run.id) if o.state not in (*RETRIED, "no_bar")}
        instruments = list_instruments(connection, calendar=run.scope, pulled=True)
        probes = () if context.source.can_replay else pick_probes(connection)
    before = context.calendars.final_at(run.scope, context.calendars.get(run.scope).previous(run.session))
    todo = [i for i in instruments if i.symbol not in settled and not _is_skipped(i, at, before)]
    pull_context = PullContext(
        context.database,
        context.source,
        context.settings,
        get_calendar,
        frozenset(r.symbol for r in context.references() if r.role == "volatility"),
        probes,
        lambda connection: guard(connection, run),
    )
    for batch in batched(pull_symbols(pull_context, todo, run.session, at), FLUSH):
        with context.database.transaction() as connection:
            _lock(connection, run)  # `_note_first_failure` changes instruments
            record_outcomes(connection, run, (Outcome(o.symbol, o.state, o.reason) for o in batch))
            for outcome in batch:
                _note_first_failure(connection, outcome, at)
        for outcome in batch:
            if outcome.notice is not None:
                context.reporter.notice(outcome.notice, [outcome.symbol])
    _finish_attempt(context, run, at)


def _lock(connection: Connection, run: Run) -> None:
    """Lock the run's row, then the change counter, before any other row is changed."""
    guard(connection, run)
    lock_changes(connection)


def _wait_for_rate_limit(context: ServiceContext, run: Run) -> None:
    """Raise PullIncomplete while another pull of the source pauses: the vendor limits the address, not the run."""
    with context.database.reading() as connection:
        machine_now = context.machine.now(connection)
        until = paused_until(connection, context.source.name, run, machine_now)
    if until is not None:
        raise PullIncomplete(
            "rate limited by the source in another pull; waiting until its pause ends", until - machine_now
        )


def batched(outcomes: Iterable[PullOutcome], size: int) -> Iterator[tuple[PullOutcome, ...]]:
    """Yield tuples of up to `size` outcomes, in order."""
    iterator = iter(outcomes)
    while batch := tuple(islice(iterator, size)):
        yield batch


def _is_skipped(instrument: Instrument, at: datetime, before: datetime) -> bool:
    """Return whether this pull skips a symbol: an unknown one is fetched once a week.

    Args:
        instrument: The symbol.
        at: Market time of this pull.
        before: Market time at which the session before this one was final.
    """
    if instrument.state != SymbolState.UNKNOWN:
        return False
    since = instrument.state_since
    return (at - since) // UNKNOWN_AFTER == (max(before, since) - since) // UNKNOWN_AFTER


def _note_first_failure(connection: Connection, outcome: PullOutcome, at: datetime) -> None:
    """Mark a new symbol whose first pull failed as failing: its next pull is the next session's."""
    if outcome.state in ("ok", "unknown"):
        return
    found = list_instruments(connection, [outcome.symbol])
    if found and found[0].state == SymbolState.NEW:
        set_state(connection, outcome.symbol, SymbolState.FAILING, outcome.reason or outcome.state, at)


def _finish_attempt(context: ServiceContext, run: Run, at: datetime) -> None:
    with context.database.reading() as connection:
        outcomes = read_outcomes(connection, run.id)
    notify_unknown(context, outcomes)
    _note_source(context, run, outcomes)
    _retry(context, run, outcomes)
    retried = [outcome for outcome in outcomes if outcome.state in RETRIED]
    deadline = context.calendars.deadline(run.scope, run.session)
    # A recorded source gives the same answer in an hour; a live vendor may be reachable again.
    hourly = HOURLY if context.source.can_replay else (*HOURLY, *RETRIED)
    waits = at < deadline and any(outcome.state in hourly for outcome in outcomes)
    warning = missing_bars_warning(run, outcomes)
    with context.database.transaction() as connection:
        _lock(connection, run)
        closed = mark_closures(context, connection, run, outcomes, at)
        before = connection.execute(select(runs.c.warnings).where(runs.c.id == run.id)).scalar_one()
        counts = outcome_counts(outcomes)
        if waits:
            wait(connection, run, min(at + RECHECK, deadline), counts, warning)
        else:
            error = None
            if outcomes and len(retried) == len(outcomes):
                error = f"no symbol could be pulled; {retried[0].message}"
            now = context.machine.now(connection)
            finish(connection, run, now, counts=counts, error=error, warning=warning)
    # Once, not each hour; that all failed was reported with each attempt.
    if warning is not None and warning not in before and len(retried) < len(outcomes):
        context.reporter.notice(warning)
    notify_closed(context, run.scope, closed)
    if not waits:
        notify_lasting(context, outcomes, at)


def _note_source(context: ServiceContext, run: Run, outcomes: Sequence[Outcome]) -> None:
    """Record whether the source is down, if that has changed: no symbol of the pull could be fetched."""
    if not outcomes:
        return
    is_down = all(outcome.state in RETRIED for outcome in outcomes)
    with context.database.reading() as connection:
        if is_down == (down_since(connection, run.scope) is not None):
            return
    with context.database.transaction() as connection:
        _lock(connection, run)
        at = Instants(context.market.now(connection), context.machine.now(connection))
        if is_down:
            source_went_down(connection, run.scope, outcomes[0].message, at)
        else:
            source_came_up(connection, run.scope, at)


def _retry(context: ServiceContext, run: Run, outcomes: Sequence[Outcome]) -> None:
    """Raise PullIncomplete if a retry may help: after the pause of the rate limit, or the usual backoff.

    Raises:
        PullIncomplete: another attempt may help.
    """
    deferred = [outcome for outcome in outcomes if outcome.state == "deferred"]
    retried = [outcome for outcome in outcomes if outcome.state in RETRIED]
    if deferred:
        with context.database.transaction() as connection:
            after = trip(connection, context.source.name, run, context.machine.now(connection))
        if after is not None:
            first = deferred[0]
            message = f"{len(deferred)} of {len(outcomes)} symbols are deferred; {first.message}"
            raise PullIncomplete(message, after)
    elif retried and run.attempt < context.settings.max_attempts:
        first = retried[0]
        raise PullIncomplete(f"{len(retried)} of {len(outcomes)} symbols could not be pulled; {first.message}")
