"""The pull job: a calendar's bars up to its newest final session, symbol by symbol."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, select

from service.db.tables import runs
from service.market.exchange_calendar import get_calendar
from service.market.instruments import Instrument, list_instruments, set_state
from service.prices.pull.alerts import missing_share, notify_lasting, notify_unknown
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
"""Outcomes written at a time: repeating the pulls after a crash changes nothing."""
RETRIED = ("transient", "deferred", "failed")
"""Outcomes that are retried soon, with backoff."""
HOURLY = ("no_bar", "deferred")
"""Outcomes that are retried each hour until T opens."""


class PullIncomplete(Transient):
    """Some symbols could not be pulled; the run is retried for those alone.

    Attributes:
        after: Pause in machine time before the next attempt, which then is not counted; None = the usual backoff.
    """

    def __init__(self, sentence: str, after: timedelta | None = None) -> None:
        super().__init__(sentence)
        self.after = after


def pull(context: ServiceContext, run: Run) -> None:
    """Pull the symbols that earlier attempts have not pulled; wait for missing bars.

    Raises:
        PullIncomplete: some symbols failed and another attempt may succeed.
    """
    _wait_for_rate_limit(context, run)
    with context.database.reading() as connection:
        at = context.market.now(connection)
        settled = {o.symbol for o in read_outcomes(connection, run.id) if o.state not in (*RETRIED, "no_bar")}
        known = list_instruments(connection, calendar=run.scope, pulled=True)
        probes = () if context.source.can_replay else pick_probes(connection)
    before = context.calendars.final_at(run.scope, context.calendars.get(run.scope).previous(run.session))
    todo = [i for i in known if i.symbol not in settled and not _rests(i, at, before)]
    ingest = PullContext(
        context.database,
        context.source,
        context.settings,
        get_calendar,
        frozenset(r.symbol for r in context.references() if r.role == "volatility"),
        probes,
        lambda connection: guard(connection, run),
    )
    for part in batched(pull_symbols(ingest, todo, run.session, at), FLUSH):
        with context.database.transaction() as connection:
            guard(connection, run)
            record_outcomes(connection, run, (Outcome(o.symbol, o.state, o.reason) for o in part))
            for outcome in part:
                _note_first_failure(connection, outcome, at)
    _end(context, run, at)


def _wait_for_rate_limit(context: ServiceContext, run: Run) -> None:
    """Raise while another pull of the source pauses: the vendor limits the address, not the run."""
    with context.database.reading() as connection:
        machine_now = context.machine.now(connection)
        until = paused_until(connection, context.source.name, run, machine_now)
    if until is not None:
        raise PullIncomplete(
            "rate limited by the source in another pull; waiting as long as that one", until - machine_now
        )


def batched(outcomes: Iterable[PullOutcome], size: int) -> Iterator[tuple[PullOutcome, ...]]:
    """Yield tuples of up to `size` outcomes, in order."""
    iterator = iter(outcomes)
    while part := tuple(islice(iterator, size)):
        yield part


def _rests(instrument: Instrument, at: datetime, before: datetime) -> bool:
    """Return whether an unknown symbol is skipped in this pull: it is fetched once a week.

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


def _end(context: ServiceContext, run: Run, at: datetime) -> None:
    with context.database.reading() as connection:
        outcomes = read_outcomes(connection, run.id)
    notify_unknown(context, outcomes)
    _retry(context, run, outcomes)
    again = [outcome for outcome in outcomes if outcome.state in RETRIED]
    deadline = context.calendars.deadline(run.scope, run.session)
    # A recorded source answers the same in an hour; a live vendor may be up again.
    hourly = HOURLY if context.source.can_replay else (*HOURLY, *RETRIED)
    waits = at < deadline and any(outcome.state in hourly for outcome in outcomes)
    warning = missing_share(run, outcomes)
    with context.database.transaction() as connection:
        guard(connection, run)
        closed = mark_closures(context, connection, run, outcomes, at)
        before = connection.execute(select(runs.c.warnings).where(runs.c.id == run.id)).scalar_one()
        counts = outcome_counts(outcomes)
        if waits:
            wait(connection, run, min(at + RECHECK, deadline), counts, warning)
        else:
            error = None
            if outcomes and len(again) == len(outcomes):
                error = f"no symbol could be pulled; {again[0].message}"
            now = context.machine.now(connection)
            finish(connection, run, now, counts=counts, error=error, warning=warning)
    if warning is not None and warning not in before:  # once, not every hour
        context.reporter.notice(warning)
    notify_closed(context, run.scope, closed)
    if not waits:
        notify_lasting(context, outcomes, at)


def _retry(context: ServiceContext, run: Run, outcomes: Sequence[Outcome]) -> None:
    """Raise if another attempt may help: after the rate limit's pause, or after the usual backoff.

    Raises:
        PullIncomplete: another attempt may help.
    """
    deferred = [outcome for outcome in outcomes if outcome.state == "deferred"]
    again = [outcome for outcome in outcomes if outcome.state in RETRIED]
    if deferred:
        with context.database.transaction() as connection:
            after = trip(connection, context.source.name, run, context.machine.now(connection))
        if after is not None:
            first = deferred[0]
            sentence = f"{len(deferred)} of {len(outcomes)} symbols are deferred; {first.message}"
            raise PullIncomplete(sentence, after)
    elif again and run.attempt < context.settings.max_attempts:
        first = again[0]
        raise PullIncomplete(f"{len(again)} of {len(outcomes)} symbols could not be pulled; {first.message}")
