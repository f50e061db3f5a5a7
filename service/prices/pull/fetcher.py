"""Fetches symbols in parallel and merges the answers in order, each in a short transaction of its own."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

from sqlalchemy import Connection

from models.phases import Phase
from service.db.change_counters import lock_changes
from service.db.session import Database, is_unavailable
from service.errors import FencedError
from service.market.instruments import CalendarUse, Instrument, list_instruments, store_calendar
from service.prices.pull.calendar_check import CalendarChecker, DatedPrices
from service.prices.pull.fetch_ranges import CalendarFactory, plan_starts
from service.prices.pull.full_resync import symbols_to_resync
from service.prices.pull.merge import HistoryMerger, PullOutcome
from service.prices.pull.probe import DEFAULT_PROBE, Probe
from service.prices.quarantine.symbol_holds import (
    SymbolHold,
    accepted_dates,
    allowed_symbols,
    raise_hold,
    settle_holds,
)
from service.prices.sources.base import (
    Malformed,
    NoData,
    PriceSource,
    RateLimited,
    Transient,
    UnknownSymbol,
)
from service.settings import Settings
from service.vocabulary import QuarantineState, SymbolState

__all__ = ["PullContext", "PullOutcome", "pull_symbols"]

_log = logging.getLogger(__name__)

PLAN, FETCH, STORE = "plan", "fetch", "store"
"""Phases of a pull; the checks of the answers are one of their own."""

_STATES: tuple[tuple[type[Exception], str], ...] = (
    (RateLimited, "deferred"),
    (Transient, "transient"),
    (NoData, "no_data"),
    (UnknownSymbol, "unknown"),
    (Malformed, "malformed"),
)
_SYMBOL_STATES = {
    "unknown": SymbolState.UNKNOWN, "malformed": SymbolState.FAILING, "failed": SymbolState.FAILING,
}  # fmt: skip
"""State of the instrument after an outcome; other outcomes do not change it."""
_NEEDS_PROBE = ("unknown", "no_data")
"""Outcomes that a blocked address also gets: accepted from a live source only if a probe answers afterwards."""


def _unfenced(_connection: Connection) -> None:
    """Accept every write: a pull without a run cannot be taken over."""


@dataclass(frozen=True, slots=True)
class PullContext:
    """The parts that a pull works with.

    Attributes:
        database: Database for the prices.
        source: Price source.
        settings: Settle delays, overlap, pool size, time limit and groups.
        calendars: `service.market.exchange_calendar.get_calendar`, or a function like it.
        volatility: Names of volatility references: their jumps of more than 40 % are real.
        probes: Symbols that exist for certain, fetched before the "unknown" of a live source is accepted.
        fence: Called first in each write transaction; raises FencedError if another worker took the pull over,
            which rolls the transaction back.
    """

    database: Database
    source: PriceSource
    settings: Settings
    calendars: CalendarFactory
    volatility: frozenset[str] = frozenset()
    probes: tuple[str, ...] = (DEFAULT_PROBE,)
    fence: Callable[[Connection], None] = _unfenced


@dataclass(frozen=True, slots=True)
class _Plan:
    """The session from which each symbol is fetched.

    Attributes:
        starts: First session of a usual pull by symbol; None = the whole history.
        whole: Symbols fetched from their first stored session on, so that the whole history is compared.
        allowed: Symbols whose whole history a person allowed.
        accepted: Symbols whose dates a person accepted.
    """

    starts: dict[str, date | None]
    whole: frozenset[str] = field(default_factory=frozenset)
    allowed: frozenset[str] = field(default_factory=frozenset)
    accepted: frozenset[str] = field(default_factory=frozenset)

    def start(self, instrument: Instrument) -> date | None:
        """Return the first session to fetch (inclusive); None = the whole history."""
        if instrument.symbol in self.allowed:
            return None
        return instrument.first_session if instrument.symbol in self.whole else self.starts[instrument.symbol]


def pull_symbols(
    context: PullContext, symbols: Sequence[Instrument], session: date, at: datetime
) -> Iterator[PullOutcome]:
    """Pull symbols: first the whole history, later an overlap with missing and suspect sessions.

    Only bars of sessions with close + settle <= at are stored. No transaction is open during a fetch. The failure of
    one symbol never stops the others; the first rate limit defers all symbols that were not tried yet. After the time
    limit of the settings no further symbol is fetched. From a live source, one symbol in twenty is fetched whole.

    Args:
        context: The parts that the pull works with.
        symbols: Instruments to pull; the outcomes have this order.
        session: The session the pull is for.
        at: Aware UTC market time.

    Yields:
        One outcome per symbol, after its transaction has ended.

    Raises:
        FencedError: another worker has taken the pull over, as the context's fence found.
    """
    context.source.begin_run()
    with Phase(PLAN, rows=len(symbols)), context.database.reading() as connection:
        names = [instrument.symbol for instrument in symbols]
        current = {found.symbol: found for found in list_instruments(connection, names)}
        present = [current[name] for name in names if name in current]
        overlap = context.settings.overlap_sessions
        plan = _Plan(
            plan_starts(connection, present, session, overlap, context.calendars),
            frozenset() if context.source.can_replay else symbols_to_resync(present, session, context.calendars),
            allowed_symbols(connection, names),
            accepted_dates(connection, names),
        )
    merger = HistoryMerger(
        context.settings, context.calendars, context.volatility, context.source.name, session, at
    )  # fmt: skip
    chosen = {each.symbol: each.chosen_calendar for each in present if each.chosen_calendar is not None}
    yield from _Pull(context, merger, plan, chosen).run(present)


class _Pull:
    """A pull in progress: thread pool, circuit breaker, deadline and plan."""

    def __init__(
        self, context: PullContext, merger: HistoryMerger, plan: _Plan, calendar_of: Mapping[str, str]
    ) -> None:
        self._context = context
        self._merger = merger
        self._plan = plan
        self._stopped = threading.Event()
        self._live = not context.source.can_replay
        self._probe = Probe(context.source, context.probes, merger.at)
        configured = {**calendar_of, **context.settings.calendar_of}
        self._checker = CalendarChecker(configured, context.calendars, merger.session, plan.accepted)
        self._deadline = time.monotonic() + context.settings.pull_limit_seconds

    def run(self, instruments: Sequence[Instrument]) -> Iterator[PullOutcome]:
        workers = self._context.settings.fetch_workers
        waiting = deque(instruments)
        pending: deque[tuple[Instrument, Future[DatedPrices | PullOutcome]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
        try:
            while waiting or pending:
                # Answers stay in memory until they are merged, so only a few are fetched ahead.
                while waiting and len(pending) < 2 * workers:
                    instrument = waiting.popleft()
                    # In a copy of the context, so that log lines of the thread name the run.
                    fetch = partial(copy_context().run, self._fetch, instrument, self._plan.start(instrument))
                    pending.append((instrument, pool.submit(fetch)))
                instrument, future = pending.popleft()
                with Phase(FETCH):
                    answer = self._result(instrument, future)
                with Phase(STORE, rows=_rows(answer)):
                    outcome = self._settle(instrument, answer)
                yield outcome
        finally:
            self._stopped.set()
            # After the deadline a fetch may run until its own time-out ends it; its answer is dropped.
            pool.shutdown(wait=not self._overdue(), cancel_futures=True)

    def _overdue(self) -> bool:
        return time.monotonic() >= self._deadline

    def _result(self, instrument: Instrument, future: Future[DatedPrices | PullOutcome]) -> DatedPrices | PullOutcome:
        try:
            return future.result(max(self._deadline - time.monotonic(), 0.0))
        except TimeoutError:
            return self._timed_out(instrument.symbol)

    def _timed_out(self, symbol: str) -> PullOutcome:
        limit = self._context.settings.pull_limit_seconds
        return PullOutcome(symbol, "transient", f"the pull ran longer than {limit:g} s; retried by the next attempt")

    def _fetch(self, instrument: Instrument, start: date | None) -> DatedPrices | PullOutcome:
        symbol = instrument.symbol
        if self._overdue():
            return self._timed_out(symbol)
        if self._stopped.is_set():
            return PullOutcome(symbol, "deferred", "rate limited by the source; not tried in this pull")
        ticket = self._probe.begin()
        try:
            fetch = partial(self._context.source.fetch, symbol)
            with Phase(FETCH) as phase:
                dated = self._checker.fetch(fetch, _calendar_of(instrument), start, self._merger.at)
                phase.rows = _rows(dated)
            self._probe.answered(ticket)
            return dated
        except Exception as error:
            outcome = _failure(symbol, error)
            if outcome.state == "deferred":
                self._stopped.set()
            if self._live and outcome.state in _NEEDS_PROBE and not self._probe.reachable_since(ticket):
                return PullOutcome(symbol, "transient", f"not accepted while no other symbol answers: {outcome.reason}")
            return outcome

    def _lock(self, connection: Connection) -> None:
        """Lock the run's row, then the change counter, before any other row is changed."""
        self._context.fence(connection)
        lock_changes(connection)

    def _settle(self, instrument: Instrument, answer: DatedPrices | PullOutcome) -> PullOutcome:
        try:
            outcome = answer if isinstance(answer, PullOutcome) else self._store(instrument, answer)
        except FencedError:
            raise
        except Exception as error:
            self._merger.ensured.clear()  # its transaction was rolled back
            if is_unavailable(error):  # not a fault of the symbol: the run is retried when the database is available
                raise
            outcome = _failure(instrument.symbol, error)
        return self._mark(instrument, outcome) if outcome.state in _SYMBOL_STATES else outcome

    def _store(self, instrument: Instrument, dated: DatedPrices) -> PullOutcome:
        start, history = self._plan.starts[instrument.symbol], dated.history
        with self._context.database.transaction() as connection:
            self._lock(connection)
            if dated.is_new or start is None:
                return self._store_on_new_calendar(connection, instrument, dated)
            if instrument.symbol in self._plan.allowed:
                return self._merger.allowed(connection, instrument, history)
            merge = self._merger.whole if instrument.symbol in self._plan.whole else self._merger.later
            outcome = merge(connection, instrument, history, start)
        if outcome is not None:
            return outcome
        with Phase(FETCH):
            whole = self._fetch(instrument, None)
        if isinstance(whole, PullOutcome):
            return whole
        with self._context.database.transaction() as connection:
            self._lock(connection)
            if whole.fault is not None or whole.use.key != dated.use.key:
                return self._store_on_new_calendar(connection, instrument, whole)
            return self._merger.rebase(connection, instrument, whole.history)

    def _store_on_new_calendar(
        self, connection: Connection, instrument: Instrument, dated: DatedPrices
    ) -> PullOutcome:  # fmt: skip
        """Store a whole history whose calendar was settled with it, or put the symbol on hold if none fits."""
        merger, symbol, at = self._merger, instrument.symbol, self._merger.at
        if dated.fault is not None:
            raise_hold(connection, symbol, SymbolHold.CALENDAR, dated.fault, merger.session, at)
            return merger.mark(connection, PullOutcome(symbol, "suspect", dated.fault), SymbolState.SUSPECT)
        settle_holds(connection, symbol, SymbolHold.CALENDAR, QuarantineState.CLEARED, at)
        if instrument.first_session is None:
            outcome = merger.first(connection, instrument, dated.history)
            store_calendar(connection, symbol, dated.use)
            return replace(outcome, notice=dated.notice)
        if _calendar_of(instrument) != dated.use:
            store_calendar(connection, symbol, dated.use)
        described = replace(instrument, calendar=dated.use.name)
        return replace(merger.allowed(connection, described, dated.history), notice=dated.notice)

    def _mark(self, instrument: Instrument, outcome: PullOutcome) -> PullOutcome:
        needs_hold = (
            self._live
            and outcome.state == "unknown"
            and instrument.last_session is not None
            and instrument.state != SymbolState.UNKNOWN
        )
        try:
            with self._context.database.transaction() as connection:
                self._lock(connection)
                if needs_hold:
                    return self._merger.missed(connection, instrument, outcome)
                return self._merger.mark(connection, outcome, _SYMBOL_STATES[outcome.state])
        except FencedError:
            raise
        except Exception as error:
            if is_unavailable(error):
                raise
            _log.exception("%s: the state %s could not be written", outcome.symbol, outcome.state)
            return outcome


def _rows(answer: DatedPrices | PullOutcome) -> int:
    """Return the number of bars of an answer."""
    return 0 if isinstance(answer, PullOutcome) else len(answer.history.bars)


def _calendar_of(instrument: Instrument) -> CalendarUse | None:
    """Return the calendar of a symbol with bars; None without, because the first history settles it."""
    if instrument.first_session is None:
        return None
    return CalendarUse(instrument.calendar, instrument.calendar_approximate, instrument.utc_dates)


def _failure(symbol: str, error: Exception) -> PullOutcome:
    for error_type, state in _STATES:
        if isinstance(error, error_type):
            _log.info("%s: %s: %s", symbol, state, error)  # stored as the symbol's outcome
            return PullOutcome(symbol, state, str(error))
    _log.error("%s: the pull failed: %s", symbol, error, exc_info=error)
    return PullOutcome(symbol, "failed", f"{type(error).__name__}: {error}")
