"""The instruments table: the watchlist, the reference series, and their metadata."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, func, select, update

from service.db.tables import instruments
from service.db.upsert import upsert
from service.errors import NotFound, SettingsError
from service.market.exchange_codes import calendar_for, choose_calendar
from service.vocabulary import ALWAYS_OPEN, WEEKDAYS_ONLY, SymbolState

if TYPE_CHECKING:
    from service.prices.sources.base import InstrumentMeta

_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.=^\-]{0,39}")
_TYPE_OF_CALENDAR = {ALWAYS_OPEN: "CRYPTOCURRENCY", WEEKDAYS_ONLY: "CURRENCY", "CMES": "FUTURE"}
_GROUP_OF_TYPE = {
    "EQUITY": "equity",
    "ETF": "equity",
    "MUTUALFUND": "equity",
    "CRYPTOCURRENCY": "crypto",
    "CURRENCY": "fx",
}

STATISTICAL_GROUPS = ("other",)
"""Groups that use statistical forecasters only: no network is trained for them."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """A row of the instruments table.

    Attributes:
        symbol: Yahoo-style name.
        name: Long name; None until the source gives one.
        instrument_type: Yahoo's type, guessed from the symbol until the first pull.
        group: Training group.
        calendar: Calendar name, guessed from the suffix until the first pull.
        currency: Currency as the source writes it; None if it gives none.
        active: Whether it is on the watchlist: forecast and scored.
        reference: Whether it is a reference series: always pulled, used as an input.
        basis: Number raised by 1 each time a split re-bases the history.
        calendar_approximate: Whether the calendar is a default, or fits the rows better than the stated one.
        utc_dates: Whether the source dates a session by its local midnight in UTC, a day early east of Greenwich.
        state: A value of `SymbolState`.
        state_reason: One sentence, or None.
        state_since: Market time of the last change of state.
        first_session: Session of the first stored bar; None without bars.
        last_session: Session of the newest stored bar; None without bars.
        chosen_group: Group set by a request; None = that of the settings or of the type.
        chosen_calendar: Calendar set by a request; None = that of the settings or of the source.
    """

    symbol: str
    name: str | None
    instrument_type: str
    group: str
    calendar: str
    currency: str | None
    active: bool
    reference: bool
    basis: int
    calendar_approximate: bool
    utc_dates: bool
    state: str
    state_reason: str | None
    state_since: datetime
    first_session: date | None
    last_session: date | None
    chosen_group: str | None = None
    chosen_calendar: str | None = None

    @property
    def has_bars(self) -> bool:
        """Whether any bar is stored."""
        return self.first_session is not None


@dataclass(frozen=True, slots=True)
class CalendarUse:
    """The calendar of an instrument, and how the dates of its source are read.

    Attributes:
        name: Calendar name.
        approximate: See `Instrument.calendar_approximate`.
        utc_dates: See `Instrument.utc_dates`.
    """

    name: str
    approximate: bool
    utc_dates: bool

    @property
    def key(self) -> tuple[str, bool]:
        """What decides on which date a row is: name, and whether dates are UTC dates."""
        return self.name, self.utc_dates


_COLUMNS = tuple(instruments.c[name] for name in Instrument.__slots__)

# Built once: building a statement takes longer than sending it.
_OWN = instruments.c.symbol == bindparam("of_symbol")
_GET = select(*_COLUMNS).where(_OWN)
_GET_STATE = select(instruments.c.state, instruments.c.state_reason).where(_OWN)
_UPDATE = update(instruments).where(_OWN)


def check_name(symbol: str) -> str:
    """Return a symbol if it is valid.

    Raises:
        SettingsError: it is not.
    """
    if not _SYMBOL.fullmatch(symbol):
        raise SettingsError(
            f"{symbol!r} is not a symbol; write 1 to 40 letters, digits or . = ^ - as Yahoo does (BRK-B, ^VIX)"
        )
    return symbol


def group_of_type(instrument_type: str) -> str:
    """Return the training group of an instrument type: equity, crypto, fx, or other (random walk only)."""
    return _GROUP_OF_TYPE.get(instrument_type.upper(), "other")


def add_symbols(
    connection: Connection, symbols: Sequence[str], at: datetime, group_of: Mapping[str, str], reference: bool = False
) -> None:
    """Add symbols, in their order, to the watchlist or to the reference series; a removed one becomes active again.

    Args:
        connection: An open write transaction.
        symbols: Yahoo-style names.
        at: Market time.
        group_of: Groups of the settings by symbol.
        reference: Add them as reference series instead of to the watchlist.

    Raises:
        SettingsError: a symbol is not valid; nothing is added.
    """
    rows = [_new_row(check_name(symbol), at, group_of) for symbol in dict.fromkeys(symbols)]
    flag = "reference" if reference else "active"
    first = 1 + (connection.execute(select(func.max(instruments.c.position))).scalar_one() or 0)
    upsert(connection, instruments, [{**row, flag: True, "position": first + n} for n, row in enumerate(rows)], [flag])


def _new_row(symbol: str, at: datetime, group_of: Mapping[str, str]) -> dict[str, object]:
    choice = choose_calendar(symbol)
    calendar = choice.name
    instrument_type = "INDEX" if symbol.startswith("^") else _TYPE_OF_CALENDAR.get(calendar, "EQUITY")
    return {
        "symbol": symbol,
        "instrument_type": instrument_type,
        "group": group_of.get(symbol, group_of_type(instrument_type)),
        "calendar": calendar,
        "active": False,
        "reference": False,
        "basis": 1,
        "calendar_approximate": choice.is_assumed,
        "utc_dates": False,
        "state": SymbolState.NEW,
        "state_since": at,
        "added_at": at,
    }


def remove_symbols(connection: Connection, symbols: Sequence[str]) -> None:
    """Remove symbols from the watchlist; their history stays.

    Raises:
        NotFound: one of them is not in the database; nothing is removed.
    """
    removed = sorted(set(symbols))
    found = set(connection.execute(select(instruments.c.symbol).where(instruments.c.symbol.in_(removed))).scalars())
    if len(found) < len(removed):
        missing = ", ".join(symbol for symbol in removed if symbol not in found)
        raise NotFound(f"{missing} is not on the watchlist; see `tplus symbols list`")
    connection.execute(update(instruments).where(instruments.c.symbol.in_(removed)).values(active=False))


def check_watchlist_size(connection: Connection, new: Sequence[str], limit: int) -> None:
    """Raise if the watchlist would have more symbols than allowed.

    Args:
        connection: Any connection.
        new: Symbols to add; those on the watchlist already do not count again.
        limit: Most symbols.

    Raises:
        SettingsError: it would.
    """
    watched = set(connection.execute(select(instruments.c.symbol).where(instruments.c.active)).scalars())
    count = len(watched.union(new))
    if count > limit and not watched.issuperset(new):
        raise SettingsError(
            f"the watchlist would have {count} symbols, and TPLUS_MAX_SYMBOLS allows {limit}; "
            "remove symbols or raise the setting"
        )


def choose_for_symbol(connection: Connection, symbol: str, group: str | None, calendar: str | None) -> None:
    """Store the group and the calendar that a request chose for a symbol; None = keep what it has."""
    values = {} if group is None else {"chosen_group": group, "group": group}
    if calendar is not None:
        values |= {"chosen_calendar": calendar, "calendar": calendar}
    if values:
        update_instrument(connection, symbol, values)


def list_instruments(
    connection: Connection,
    symbols: Sequence[str] | None = None,
    *,
    calendar: str | None = None,
    group: str | None = None,
    active: bool | None = None,
    pulled: bool = False,
) -> tuple[Instrument, ...]:
    """Return instruments, sorted by the code points of their symbols.

    The data hash and the training depend on this order, so it must not depend on the database's collation.

    Args:
        connection: Any connection.
        symbols: Only these; None = all. Those that are not in the database are left out.
        calendar: Only this calendar's.
        group: Only this training group's.
        active: Only those on (True) or off (False) the watchlist.
        pulled: Only those that are pulled: on the watchlist, or a reference series.
    """
    query = select(*_COLUMNS)
    if symbols is not None:
        query = query.where(instruments.c.symbol.in_(list(symbols)))
    if calendar is not None:
        query = query.where(instruments.c.calendar == calendar)
    if group is not None:
        query = query.where(instruments.c.group == group)
    if active is not None:
        query = query.where(instruments.c.active.is_(active))
    if pulled:
        query = query.where(instruments.c.active | instruments.c.reference)
    return tuple(sorted((Instrument(*row) for row in connection.execute(query)), key=lambda found: found.symbol))


def get_instrument(connection: Connection, symbol: str) -> Instrument:
    """Return one instrument.

    Raises:
        NotFound: it is not in the database.
    """
    found = connection.execute(_GET, {"of_symbol": symbol}).one_or_none()
    if found is None:
        raise NotFound(f"{symbol} is not in the database; add it with `tplus symbols add {symbol}`")
    return Instrument(*found)


def update_instrument(connection: Connection, symbol: str, values: Mapping[str, object]) -> None:
    """Set columns of an instrument.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name; nothing changes if it is not in the database.
        values: New values by column; at least one.
    """
    connection.execute(_UPDATE, {"of_symbol": symbol, **values})


def store_metadata(
    connection: Connection, symbol: str, meta: "InstrumentMeta", at: datetime, group_of: Mapping[str, str]
) -> Instrument:
    """Store the metadata that the source gives for a symbol, after its first pull.

    The calendar is the one that the source names, else that of its exchange code, else that of the suffix. The group
    is that of the settings, else that set by a request, else that of the type.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        meta: Metadata of the source.
        at: Market time.
        group_of: Groups of the settings by symbol.

    Returns:
        The updated instrument, its state `ok`.

    Raises:
        NotFound: it is not in the database.
    """
    found = get_instrument(connection, symbol)
    values: dict[str, Any] = {
        "name": meta.name,
        "instrument_type": meta.instrument_type,
        "group": group_of.get(symbol, found.chosen_group or group_of_type(meta.instrument_type)),
        "calendar": meta.calendar or calendar_for(symbol, meta.exchange),
        "currency": meta.currency,
        "state": SymbolState.OK,
        "state_reason": None,
    }
    if found.state != SymbolState.OK:
        values["state_since"] = at
    update_instrument(connection, symbol, values)
    return replace(found, **values)


def store_calendar(connection: Connection, symbol: str, use: CalendarUse) -> None:
    """Store the calendar of a symbol and how the dates of its source are read.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        use: The calendar.
    """
    values = {"calendar": use.name, "calendar_approximate": use.approximate, "utc_dates": use.utc_dates}
    update_instrument(connection, symbol, values)


def set_state(connection: Connection, symbol: str, state: SymbolState, reason: str | None, at: datetime) -> bool:
    """Store an instrument's state; `state_since` moves only when the state changes.

    Args:
        connection: An open write transaction.
        symbol: Yahoo-style name.
        state: The state to store.
        reason: One sentence, or None.
        at: Market time.

    Returns:
        Whether anything changed.
    """
    before = connection.execute(_GET_STATE, {"of_symbol": symbol}).one_or_none()
    if before is None or (before[0], before[1]) == (state, reason):
        return False
    since = {"state_since": at} if before[0] != state else {}
    update_instrument(connection, symbol, {"state": state, "state_reason": reason, **since})
    return True
