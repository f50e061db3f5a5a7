"""The pull: fetch symbols side by side, keep each answer in a short transaction of its own, in order."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import Connection

from service.db.session import Database, is_unavailable
from service.errors import FencedError
from service.market.instruments import Instrument, list_instruments
from service.prices.pull.fetch_ranges import Calendars, plan_starts
from service.prices.pull.full_resync import read_whole
from service.prices.pull.merge import HistoryMerger, PullOutcome
from service.prices.pull.probe import DEFAULT, Probe
from service.prices.quarantine.symbol_holds import allowed_symbols
from service.prices.sources.base import (
    FetchedPrices,
    Malformed,
    NoData,
    PriceSource,
    RateLimited,
    Transient,
    UnknownSymbol,
)
from service.settings import Settings

__all__ = ["IngestContext", "PullOutcome", "pull_symbols"]

_log = logging.getLogger(__name__)

_STATES: tuple[tuple[type[Exception], str], ...] = (
    (RateLimited, "deferred"),
    (Transient, "transient"),
    (NoData, "no_data"),
    (UnknownSymbol, "unknown"),
    (Malformed, "malformed"),
)
_MARKED = {"unknown": "unknown", "malformed": "failing", "failed": "failing"}
"""Outcomes that become a state of the instrument."""
_HELD = ("unknown", "no_data")
"""Outcomes that a blocked address gets too: believed of a live source only when a canary answers after them."""


def _unfenced(_connection: Connection) -> None:
    """A pull that nobody can take over."""


@dataclass(frozen=True, slots=True)
class IngestContext:
    """What a pull works with.

    Attributes:
        database: Where prices go.
        source: Where they come from.
        settings: Settle delays, overlap, pool size and groups set by hand.
        calendars: `service.market.exchange_calendar.get_calendar`, or one like it.
        volatility: Names of volatility references: their jumps of more than 40 % are real.
        canaries: Symbols known to be there, asked before a live source is believed that one is not.
        fence: Called first in every write transaction; raises FencedError where another worker took the pull over,
            which ends it with nothing of that transaction written.
    """

    database: Database
    source: PriceSource
    settings: Settings
    calendars: Calendars
    volatility: frozenset[str] = frozenset()
    probes: tuple[str, ...] = (DEFAULT,)
    fence: Callable[[Connection], None] = _unfenced


@dataclass(frozen=True, slots=True)
class _Plan:
    """Who is asked from where.

    Attributes:
        starts: First session of a usual pull by symbol; None = the whole history.
        whole: Symbols read from their first stored session on, to be compared as a whole.
        allowed: Symbols whose whole history a person let through.
    """

    starts: dict[str, date | None]
    whole: frozenset[str] = field(default_factory=frozenset)
    allowed: frozenset[str] = field(default_factory=frozenset)

    def start(self, one: Instrument) -> date | None:
        """First session to ask for (inclusive); None = the whole history."""
        if one.symbol in self.allowed:
            return None
        return one.first_session if one.symbol in self.whole else self.starts[one.symbol]


def pull_symbols(
    context: IngestContext, symbols: Sequence[Instrument], session: date, at: datetime
) -> Iterator[PullOutcome]:
    """Pull symbols: the whole history at first, later what overlaps, holes and suspects included.

    Only bars of sessions with close + settle <= at are stored. No transaction is open while fetching. One
    symbol's failure never stops the others; the first rate limit defers all that were not tried yet, and after
    the limit of the settings no further symbol is asked for. Of a live source, one symbol in twenty is read whole.

    Args:
        context: What to work with.
        symbols: Whom to pull; the results come in this order.
        session: The session the pull is for.
        at: Aware UTC market time.

    Yields:
        One outcome per symbol, once its transaction is over.

    Raises:
        FencedError: the context's fence says that another worker has taken the pull over.
    """
    context.source.begin_run()
    with context.database.reading() as connection:
        current = {one.symbol: one for one in list_instruments(connection, [one.symbol for one in symbols])}
        present = [current[one.symbol] for one in symbols if one.symbol in current]
        overlap = context.settings.overlap_sessions
        plan = _Plan(
            plan_starts(connection, present, session, overlap, context.calendars),
            frozenset() if context.source.can_replay else read_whole(present, session, context.calendars),
            allowed_symbols(connection, [one.symbol for one in present]),
        )
    keeper = HistoryMerger(
        context.settings, context.calendars, context.volatility, context.source.name, session, at
    )  # fmt: skip
    yield from _Pull(context, keeper, plan).run(present)


class _Pull:
    """One pull on its way: the pool, its brake and its deadline, and who is asked from where."""

    def __init__(self, context: IngestContext, keeper: HistoryMerger, plan: _Plan) -> None:
        self._context = context
        self._keeper = keeper
        self._plan = plan
        self._brake = threading.Event()
        self._live = not context.source.can_replay
        self._probe = Probe(context.source, context.probes, keeper.at)
        self._deadline = time.monotonic() + context.settings.pull_limit_seconds

    def run(self, instruments: Sequence[Instrument]) -> Iterator[PullOutcome]:
        workers = self._context.settings.fetch_workers
        waiting = deque(instruments)
        flying: deque[tuple[Instrument, Future[FetchedPrices | PullOutcome]]] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
        try:
            while waiting or flying:
                # Answers wait in memory until they are kept: so only a few are fetched ahead.
                while waiting and len(flying) < 2 * workers:
                    one = waiting.popleft()
                    flying.append((one, pool.submit(self._fetch, one.symbol, self._plan.start(one))))
                one, future = flying.popleft()
                yield self._settle(one, self._landed(one, future))
        finally:
            self._brake.set()
            # Past the deadline a fetch may hang for as long as its own time-outs allow: it ends by itself, unheard.
            pool.shutdown(wait=not self._overdue(), cancel_futures=True)

    def _overdue(self) -> bool:
        return time.monotonic() >= self._deadline

    def _landed(self, one: Instrument, future: Future[FetchedPrices | PullOutcome]) -> FetchedPrices | PullOutcome:
        try:
            return future.result(max(self._deadline - time.monotonic(), 0.0))
        except TimeoutError:
            return self._late(one.symbol)

    def _late(self, symbol: str) -> PullOutcome:
        limit = self._context.settings.pull_limit_seconds
        return PullOutcome(
            symbol, "transient", f"the pull ran longer than {limit:g} s; asked again by the next attempt"
        )

    def _fetch(self, symbol: str, start: date | None) -> FetchedPrices | PullOutcome:
        if self._overdue():
            return self._late(symbol)
        if self._brake.is_set():
            return PullOutcome(symbol, "deferred", "the source asked to slow down; not tried in this pull")
        ticket = self._probe.begin()
        try:
            history = self._context.source.fetch(symbol, start, self._keeper.at)
            self._probe.answered(ticket)
            return history
        except Exception as error:
            outcome = _failure(symbol, error)
            if outcome.state == "deferred":
                self._brake.set()
            if self._live and outcome.state in _HELD and not self._probe.reachable_since(ticket):
                return PullOutcome(symbol, "transient", f"not believed while no other symbol answers: {outcome.reason}")
            return outcome

    def _settle(self, one: Instrument, answer: FetchedPrices | PullOutcome) -> PullOutcome:
        try:
            outcome = answer if isinstance(answer, PullOutcome) else self._keep(one, answer)
        except FencedError:
            raise
        except Exception as error:
            if is_unavailable(error):  # no symbol's fault: the run itself tries again when the database is well
                raise
            outcome = _failure(one.symbol, error)
        return self._mark(one, outcome) if outcome.state in _MARKED else outcome

    def _keep(self, one: Instrument, history: FetchedPrices) -> PullOutcome:
        start = self._plan.starts[one.symbol]
        with self._context.database.transaction() as connection:
            self._context.fence(connection)
            if start is None:
                return self._keeper.first(connection, one, history)
            if one.symbol in self._plan.allowed:
                return self._keeper.allowed(connection, one, history)
            read = self._keeper.whole if one.symbol in self._plan.whole else self._keeper.later
            outcome = read(connection, one, history, start)
        if outcome is not None:
            return outcome
        whole = self._fetch(one.symbol, None)
        if isinstance(whole, PullOutcome):
            return whole
        with self._context.database.transaction() as connection:
            self._context.fence(connection)
            return self._keeper.rebase(connection, one, whole)

    def _mark(self, one: Instrument, outcome: PullOutcome) -> PullOutcome:
        doubted = self._live and outcome.state == "unknown" and one.last_session is not None and one.state != "unknown"
        try:
            with self._context.database.transaction() as connection:
                self._context.fence(connection)
                if doubted:
                    return self._keeper.missed(connection, one, outcome)
                return self._keeper.mark(connection, outcome, _MARKED[outcome.state])
        except FencedError:
            raise
        except Exception as error:
            if is_unavailable(error):
                raise
            _log.exception("%s: the state %s could not be written", outcome.symbol, outcome.state)
            return outcome


def _failure(symbol: str, error: Exception) -> PullOutcome:
    for kind, state in _STATES:
        if isinstance(error, kind):
            _log.info("%s: %s: %s", symbol, state, error)  # the run keeps it as the symbol's outcome
            return PullOutcome(symbol, state, str(error))
    _log.error("%s: the pull failed: %s", symbol, error, exc_info=error)
    return PullOutcome(symbol, "failed", f"{type(error).__name__}: {error}")
