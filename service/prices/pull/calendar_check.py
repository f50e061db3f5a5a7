"""Fetches prices and checks the calendar of their symbol against the dates of the rows.

The calendar is settled with the first history of a symbol, and again where more than 5 % of an answer's rows are on no
session. Rows that repeat the close without volume do not count: vendors fill holidays with them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from service.market.calendar_fit import MAX_OFF, MIN_ROWS, ROWS, CalendarFit, closest, compare_dates, fit_calendar
from service.market.exchange_codes import (
    WEEKDAYS,
    CalendarChoice,
    MarketHints,
    calendar_by_hints,
    calendar_by_suffix,
    choose_calendar,
)
from service.market.instruments import CalendarUse
from service.market.session_calendar import DateArray, MarketCalendar
from service.market.utc_dates import is_early, sessions_of_utc_dates
from service.prices.checks.row_checks import repeats_close
from service.prices.pull.fetch_ranges import CalendarFactory, calendar_around
from service.prices.sources.base import FetchedPrices, InstrumentMeta

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)

Fetch = Callable[[date | None, datetime], FetchedPrices]
"""First session (None = the whole history) and market time -> the source's answer for one symbol."""


@dataclass(frozen=True, slots=True)
class DatedPrices:
    """An answer whose dates are sessions of the symbol's exchange, as far as its calendar goes.

    Attributes:
        history: The answer; its `meta.calendar` is the calendar in use.
        use: The calendar of the symbol and how its dates are read.
        is_new: Whether the calendar was settled with this answer, which is the whole history.
        notice: One sentence about a calendar that differs from the stated one; None if there is none.
        fault: Why no calendar fits; the history must not be stored. None if one does.
    """

    history: FetchedPrices
    use: CalendarUse
    is_new: bool = False
    notice: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class CalendarChecker:
    """Checks the calendars of symbols; it writes nothing.

    Attributes:
        configured: Calendars that a person set, by symbol.
        calendars: Returns a calendar by name and bounds.
        session: The session the pull is for.
        accepted: Symbols whose dates a person accepted as they are.
    """

    configured: dict[str, str]
    calendars: CalendarFactory
    session: date
    accepted: frozenset[str] = frozenset()

    def fetch(self, fetch: Fetch, stored: CalendarUse | None, start: date | None, at: datetime) -> DatedPrices:
        """Fetch a symbol and check its calendar.

        Args:
            fetch: Fetches the symbol.
            stored: The calendar in use; None for a symbol without bars.
            start: First session (inclusive); None = the whole history.
            at: Aware UTC market time.
        """
        answered = self._ask(fetch, stored, start, at)
        if start is not None and stored is not None:
            dated = self._dated(answered, stored, start)
            if answered.symbol in self.accepted or not self._is_doubtful(dated.history, stored):
                return dated
            settled = self.settle(self._ask(fetch, stored, None, at))
            if settled.fault is None and settled.use.key == stored.key:
                return dated
        else:
            settled = self.settle(answered)
        if settled.fault is None and settled.use.utc_dates and not (stored and stored.utc_dates):
            # The source took each row for the session a day before: it must not serve what it would know a day early.
            again = self._dated(self._ask(fetch, settled.use, None, at), settled.use, None)
            settled = replace(settled, history=again.history)
        return settled

    def settle(self, history: FetchedPrices) -> DatedPrices:
        """Return a whole history, as the source dates it, on the calendar that fits its dates."""
        symbol, days = history.symbol, _counted_days(history)
        choice = self.choose(history)
        use = CalendarUse(choice.name, choice.is_assumed, utc_dates=False)
        if len(days) < MIN_ROWS or symbol in self.accepted:
            return self._dated(
                history, replace(use, approximate=use.approximate or symbol in self.accepted), None, True
            )
        calendars = self._by_name(history, choice.name)
        stated = compare_dates(days, calendars(choice.name))
        if stated.off <= MAX_OFF:
            return self._dated(history, use, None, True)
        hints = _hints(history.meta)
        likely = [name for name in (calendar_by_suffix(symbol), calendar_by_hints(hints)) if name is not None]
        fit = fit_calendar(days, choice.name, calendars, likely)
        problem = f"{stated.off:.0%} of its last {min(len(days), ROWS)} rows are on no session of {choice.name}"
        if fit is None or (symbol in self.configured and fit.name != choice.name):
            return DatedPrices(history, use, True, fault=_fault(symbol, problem, fit))
        use = CalendarUse(fit.name, approximate=True, utc_dates=fit.utc_dates)
        return self._dated(history, use, None, True, _notice(problem, fit))

    def choose(self, history: FetchedPrices) -> CalendarChoice:
        """Return the calendar that a person, the source or the symbol names, or the default."""
        symbol, meta = history.symbol, history.meta
        configured = self.configured.get(symbol)
        if configured is not None:
            return CalendarChoice(self.calendars(configured, self.session, self.session).name, is_assumed=False)
        if meta.calendar is not None and meta.calendar != WEEKDAYS:
            return CalendarChoice(meta.calendar, is_assumed=not _is_stated(symbol, meta))
        hints = _hints(meta)
        if meta.calendar == WEEKDAYS and hints.exchange is None:
            hints = replace(hints, exchange=WEEKDAYS)
        choice = choose_calendar(symbol, hints)
        days = _counted_days(history)
        if choice.is_assumed and hints.exchange is not None and len(days) >= MIN_ROWS:
            # An unknown exchange: zone and currency suggest a market, and the rows decide.
            names = (choice.name, WEEKDAYS)
            return CalendarChoice(closest(days, names, self._by_name(history, choice.name)), is_assumed=True)
        return choice

    def _ask(self, fetch: Fetch, use: CalendarUse | None, start: date | None, at: datetime) -> FetchedPrices:
        if use is None or not use.utc_dates:
            return fetch(start, at)
        calendar = calendar_around(self.calendars, use.name, start or self.session, max(self.session, at.date()))
        moves = is_early(calendar.local_date(at), calendar.zone)
        return fetch(None if start is None else start - _DAY, at - _DAY if moves else at)

    def _dated(
        self, history: FetchedPrices, use: CalendarUse, start: date | None, is_new: bool = False,
        notice: str | None = None,
    ) -> DatedPrices:  # fmt: skip
        if use.utc_dates and len(history.bars):
            history = _moved(history, self._by_name(history, use.name)(use.name), start)
        return DatedPrices(replace(history, meta=replace(history.meta, calendar=use.name)), use, is_new, notice)

    def _is_doubtful(self, history: FetchedPrices, use: CalendarUse) -> bool:
        days = _counted_days(history)
        return len(days) > 0 and compare_dates(days, self._by_name(history, use.name)(use.name)).off > MAX_OFF

    def _by_name(self, history: FetchedPrices, usual: str) -> Callable[[str], MarketCalendar]:
        """Return a function from names to calendars around the rows; the usual one has the bounds of the pull."""
        days = _days(history)
        first, last = days.min().astype(object), days.max().astype(object)
        recent = days[-ROWS:].min().astype(object)

        def calendar(name: str) -> MarketCalendar:
            if name == usual:
                return calendar_around(self.calendars, name, first, max(last, self.session))
            return self.calendars(name, recent - _WEEK, last + _WEEK)

        return calendar


def _days(history: FetchedPrices) -> DateArray:
    return history.bars.index.to_numpy().astype("datetime64[D]")


def _counted_days(history: FetchedPrices) -> DateArray:
    """Return the dates of the rows that say something about the calendar, ascending."""
    bars = history.bars
    close, volume = bars["close"].to_numpy(np.float64), bars["volume"].to_numpy(np.float64)
    return np.unique(_days(history)[~np.isnan(close) & ~repeats_close(close, volume)])


def _hints(meta: InstrumentMeta) -> MarketHints:
    return MarketHints(meta.exchange, meta.zone, meta.currency, meta.instrument_type)


def _is_stated(symbol: str, meta: InstrumentMeta) -> bool:
    """Return whether the source states its calendar, rather than taking the default for a name that says nothing."""
    if meta.calendar_stated is not None:
        return meta.calendar_stated
    default = choose_calendar(symbol)
    says_more = meta.exchange or meta.currency or meta.name
    return bool(says_more) or not default.is_assumed or meta.calendar != default.name


def _moved(history: FetchedPrices, calendar: MarketCalendar, start: date | None) -> FetchedPrices:
    """Return an answer with UTC dates on its local dates, from a first session on (inclusive; None = all)."""
    moved = sessions_of_utc_dates(_days(history), calendar.zone)
    index = pd.DatetimeIndex(moved.astype("datetime64[s]"), name="session")
    kept = np.ones(len(moved), bool) if start is None else moved >= np.datetime64(start)
    written = np.array([action.ex_date for action in history.actions], "datetime64[D]")
    ex_dates = sessions_of_utc_dates(written, calendar.zone)
    actions = tuple(
        replace(action, ex_date=day) for action, day in zip(history.actions, ex_dates.tolist(), strict=True)
        if start is None or day >= start
    )  # fmt: skip
    return replace(history, bars=history.bars.set_axis(index, axis=0)[kept], actions=actions)


def _notice(problem: str, fit: CalendarFit) -> str:
    if fit.utc_dates:
        return (
            f"{problem}: local midnights were written as UTC dates, a day early; each row is moved to its session of "
            f"{fit.name}, approximate"
        )
    return f"{problem}: its dates fit {fit.name}, which is used instead, approximate"


def _fault(symbol: str, problem: str, fit: CalendarFit | None) -> str:
    if fit is not None:
        advice = f"they fit {fit.name}: set {symbol}={fit.name} in TPLUS_CALENDARS, or correct the dates"
    else:
        advice = (
            "and no known calendar fits them: correct the dates, or accept them with "
            f"`tplus quarantine clear --hold {symbol}`"
        )
    return f"{problem}; {advice}"
