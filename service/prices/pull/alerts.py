"""Notices about a pull: unknown symbols, an exchange without bars, and lasting holds."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from service.prices.quarantine.symbol_holds import SESSIONS_SEEN, lasting
from service.runs import Outcome, Run
from service.runtime.context import ServiceContext

MISSING_SHARE = 0.20
"""Share of a calendar's symbols without the session's bar above which the exchange is reported."""

_MIN_MISSING = 2
"""Fewest missing symbols that are reported: one alone shows nothing about its exchange."""

_HAS_BAR = ("ok", "suspect")
RETRIED = ("transient", "deferred", "failed")
"""Outcomes that are retried soon, with backoff."""
_UNKNOWN = "unknown"


def missing_bars_warning(run: Run, outcomes: Sequence[Outcome]) -> str | None:
    """Return a warning about an exchange with missing bars; None if at most 20 % are missing.

    Args:
        run: The pull.
        outcomes: Outcomes of its symbols; those unknown to the source do not count.
    """
    expected = [outcome for outcome in outcomes if outcome.state != _UNKNOWN]
    missing = [outcome for outcome in expected if outcome.state not in _HAS_BAR]
    if len(missing) < _MIN_MISSING or len(missing) <= MISSING_SHARE * len(expected):
        return None
    summary = f"{len(missing)} of {len(expected)} symbols of {run.scope} have no bar of {run.session}"
    if all(outcome.state in RETRIED for outcome in missing):
        return f"{summary}: {missing[0].message}"
    if len(missing) == len(expected):
        return f"{summary}: an outage of the source, or a closure; retrying for 30 days"
    return f"{summary}; first {missing[0].symbol}: {missing[0].reason or missing[0].state}"


def notify_unknown(context: ServiceContext, outcomes: Sequence[Outcome]) -> None:
    """Report the symbols that the source does not know."""
    unknown = [outcome.symbol for outcome in outcomes if outcome.state == _UNKNOWN]
    references = {reference.symbol for reference in context.references()}
    inputs = [symbol for symbol in unknown if symbol in references]
    watched = [symbol for symbol in unknown if symbol not in references]
    if inputs:
        context.reporter.notice("input missing, ignored: the source has no such reference series", inputs)
    if watched:
        context.reporter.notice("unknown to the source; retrying in a week", watched)


def notify_lasting(context: ServiceContext, outcomes: Sequence[Outcome], at: datetime) -> None:
    """Report the symbols that are suspect for three sessions: only a person can settle them."""
    with context.database.reading() as connection:
        symbols = lasting(connection, [outcome.symbol for outcome in outcomes], at - timedelta(days=SESSIONS_SEEN))
    if symbols:
        since = f"suspect for {SESSIONS_SEEN} sessions or more"
        context.reporter.notice(f"{since}; see `tplus quarantine list`, then clear or reject them", symbols)
