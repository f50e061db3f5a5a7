"""The pull job: a calendar's bars up to its newest final session, symbol by symbol."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from service.context import ServiceContext
from service.market.calendar import get_calendar
from service.market.instruments import Instrument, list_instruments, set_state
from service.prices.ingest import IngestContext, PullOutcome, pull_symbols
from service.prices.source import Transient
from service.runs import Outcome, Run, finish, guard, outcome_counts, read_outcomes, record_outcomes, wait

RECHECK = timedelta(hours=1)
"""Market time after which a missing bar is asked for again."""
UNKNOWN_AFTER = timedelta(days=7)
"""Market time after which a symbol that the source does not know is asked for again."""
FLUSH = 100
"""Outcomes written at a time: a killed pull is pulled again, which changes nothing."""
TRY_AGAIN = ("transient", "deferred", "failed")
"""Outcomes worth another attempt soon, with backoff."""


class PullIncomplete(Transient):
    """Some symbols could not be pulled; the run is tried again for those alone."""


def pull(context: ServiceContext, run: Run) -> None:
    """Pull what the run's earlier attempts have not; wait for bars that are not there yet.

    Raises:
        PullIncomplete: some symbols failed in a way that another attempt may mend.
    """
    with context.database.reading() as connection:
        at = context.market.now(connection)
        settled = {o.symbol for o in read_outcomes(connection, run.id) if o.state not in (*TRY_AGAIN, "no_bar")}
        known = list_instruments(connection, calendar=run.scope, pulled=True)
    before = context.calendars.final_at(run.scope, context.calendars.get(run.scope).previous(run.session))
    todo = [i for i in known if i.symbol not in settled and not _rests(i, at, before)]
    ingest = IngestContext(
        context.database,
        context.source,
        context.settings,
        get_calendar,
        frozenset(r.symbol for r in context.references() if r.role == "volatility"),
    )
    for part in batched(pull_symbols(ingest, todo, run.session, at), FLUSH):
        with context.database.transaction() as connection:
            guard(connection, run)
            record_outcomes(connection, run, (Outcome(o.symbol, o.state, o.reason) for o in part))
            for outcome in part:
                _note_first_failure(connection, outcome, at)
    _end(context, run, at)


def batched(outcomes: Iterable[PullOutcome], size: int) -> Iterator[tuple[PullOutcome, ...]]:
    """Tuples of up to `size` outcomes, in order."""
    iterator = iter(outcomes)
    while part := tuple(islice(iterator, size)):
        yield part


def _rests(instrument: Instrument, at: datetime, before: datetime) -> bool:
    """Whether a symbol the source did not know is left alone now: asking is expensive, so once a week is enough.

    Args:
        instrument: The symbol.
        at: Market time of this pull.
        before: When the session before this one was pulled.
    """
    if instrument.state != "unknown":
        return False
    since = instrument.state_since
    return (at - since) // UNKNOWN_AFTER == (max(before, since) - since) // UNKNOWN_AFTER


def _note_first_failure(connection: Connection, outcome: PullOutcome, at: datetime) -> None:
    """A symbol whose first pull failed is no longer new: its next try belongs to the next session."""
    if outcome.state in ("ok", "unknown"):
        return
    found = list_instruments(connection, [outcome.symbol])
    if found and found[0].state == "new":
        set_state(connection, outcome.symbol, "failing", outcome.reason or outcome.state, at)


def _end(context: ServiceContext, run: Run, at: datetime) -> None:
    with context.database.reading() as connection:
        outcomes = read_outcomes(connection, run.id)
    again = [outcome for outcome in outcomes if outcome.state in TRY_AGAIN]
    _tell_unknown(context, outcomes)
    if again and run.attempt < context.settings.max_attempts:
        first = again[0]
        raise PullIncomplete(
            f"{len(again)} of {len(outcomes)} symbols could not be pulled; {first.symbol}: {first.reason}"
        )
    counts = outcome_counts(outcomes)
    deadline = context.calendars.deadline(run.scope, run.session)
    with context.database.transaction() as connection:
        guard(connection, run)
        if any(outcome.state == "no_bar" for outcome in outcomes) and at < deadline:
            wait(connection, run, min(at + RECHECK, deadline), counts)
            return
        error = None
        if outcomes and len(again) == len(outcomes):
            error = f"no symbol could be pulled; {again[0].symbol}: {again[0].reason}"
        finish(connection, run, context.machine.now(connection), counts=counts, error=error)


def _tell_unknown(context: ServiceContext, outcomes: Sequence[Outcome]) -> None:
    unknown = [outcome.symbol for outcome in outcomes if outcome.state == "unknown"]
    if unknown:
        references = {reference.symbol for reference in context.references()}
        inputs = [symbol for symbol in unknown if symbol in references]
        watched = [symbol for symbol in unknown if symbol not in references]
        if inputs:
            context.reporter.notice("the source has no such reference series, its inputs are masked", inputs)
        if watched:
            context.reporter.notice("the source does not know these symbols; asked again in a week", watched)
