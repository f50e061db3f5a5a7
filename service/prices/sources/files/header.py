"""Recognises the header of a price file: its columns, symbols and vendor.

Three forms are known: one header line with a column per field (with or without a column of symbols), one header line
with a column of closes per symbol, and two or three header lines with a column per field and symbol (yfinance).
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from service.prices.sources.files.limits import printable
from service.prices.sources.files.names import STOOQ, normalise_symbol

HEADER_LINES: Final = 20
"""Number of first lines among which a header is searched."""

PRICE_FIELDS: Final = ("open", "high", "low", "close", "volume", "adj_close", "dividend", "split")

_CHARACTERS = 60

# field -> (its own words, other words in use): the first that occur decide. Spelled as `_plain` returns them.
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "date": (
        "date|datetime|date time|datum|fecha|data",
        "timestamp|time|t|day|trading day|trading date|trade date|tradedate|observation date|price date|date utc|unix"
        "|unix time|unixtime|unix timestamp|handelstag|tag|jour|seance|dia|giorno|data e ora|fecha y hora|zeit",
    ),
    "open": (
        "open|open price|price open|eroffnung|eroffnungskurs|ouverture|apertura|abertura",
        "o|ouv|eroffn|opening price|erster|premier|prezzo di apertura|precio de apertura|cours d'ouverture|ap|opening",
    ),
    "high": (
        "high|high price|price high|hoch|hochst|hochstkurs|plus haut|maximo|massimo",
        "h|max|haut|tageshoch|alto|maximum|maxi|day high",
    ),
    "low": (
        "low|low price|price low|tief|tiefst|tiefstkurs|plus bas|minimo",
        "l|min|bas|tagestief|bajo|basso|minimum|mini|day low",
    ),
    "close": (
        "close|close price|price close|closing price|close last|schluss|schlusskurs|cloture|cours de cloture|cierre"
        "|precio de cierre|chiusura|prezzo di chiusura|fechamento",
        "c|last|price|last price|zuletzt|letzter|dernier|ultimo|kurs|cours|precio|prezzo|nav|net asset value|value"
        "|settle|closing|ult|clot",
    ),
    "adj_close": (
        "adj close|adjusted close|adjclose|adj close price|close adj|close adjusted|adj closing price"
        "|adjusted closing price|bereinigter schlusskurs|schlusskurs bereinigt|cloture ajustee|cierre ajustado"
        "|chiusura rettificata|chiusura aggiustata",
        "adjusted price|adj price|adjusted",
    ),
    "volume": (
        "volume|volumes|shares traded|tickvol|stucke|stuecke|stuck",
        "v|vol|volumen|volumi|umsatz|quantity|quantite|cantidad|tick volume|trade volume|stuckzahl|number of shares",
    ),
    "dividend": (
        "dividend|dividends|dividend amount|cash dividend|div cash|divcash|dividende|dividendo|dividendi",
        "div|ex dividend",
    ),
    "split": (
        "split|splits|stock split|stock splits|split coefficient|split factor|splitfactor|split ratio",
        "stock split ratio",
    ),
    "symbol": ("symbol|ticker|tic|ticker symbol|symbole|simbolo", "name|stock|instrument|code|act symbol|sym"),
    "period": ("per|period", "interval|frequency"),
}  # fmt: skip
_FIELD_OF: Final = {
    word: (field, rank)
    for field, ranks in _WORDS.items()
    for rank, words in enumerate(ranks)
    for word in words.split("|")
}
_NUMBERED = re.compile(r"^\d+[.:] *")
_SEPARATORS = re.compile(r"[\s_./()\[\]+*<>\"-]+")
_TUPLE = re.compile(r"\('([^']*)', '([^']*)'\)")
_TICKER_HEADER = re.compile(r"\^?[A-Z0-9][A-Z0-9.=^-]{0,39}")
_NUMBER = re.compile(r"[-+$]?[\d.,]+")
_UNNAMED = re.compile(r"|unnamed: 0(_level_[01])?|__index_level_0__")


class Adjustment(StrEnum):
    """What the closes of a symbol are adjusted for."""

    SPLIT = "split"
    TOTAL = "total"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of prices: its position, field, and the symbol of its header, else empty."""

    position: int
    field: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The header of a file.

    Attributes:
        form: What the file is read as, for people.
        first_row: Number of lines up to the end of the header.
        width: Number of columns.
        date: Position of the dates.
        columns: Columns of prices.
        symbol: Position of the column of symbols, None without one.
        period: Position of Stooq's column of periods, None without one.
        adjustment: What the vendor adjusts closes for.
        vendor: `Stooq` where tickers have its suffixes, else empty.
    """

    form: str
    first_row: int
    width: int
    date: int
    columns: tuple[Column, ...]
    symbol: int | None = None
    period: int | None = None
    adjustment: Adjustment = Adjustment.UNKNOWN
    vendor: str = ""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that the header names, in order."""
        return tuple(dict.fromkeys(column.symbol for column in self.columns if column.symbol))


@dataclass(frozen=True, slots=True)
class HeaderFault:
    """Why the first lines are no header of prices, and the line."""

    line: int
    reason: str


def find_header(rows: Sequence[Sequence[str]]) -> Layout | HeaderFault:
    """Recognise the header among the first rows of a file.

    Args:
        rows: Cells of the first lines, blank lines included.

    Returns:
        The layout, or the reason of the most promising line.
    """
    worst: HeaderFault | None = None
    for start in range(min(len(rows), HEADER_LINES)):
        found = _two_levels(rows, start) or _one_level(rows, start)
        if isinstance(found, Layout):
            return found
        worst = worst or found
    return worst or HeaderFault(1, _needs(rows[0] if rows else []))


def order_names(names: Sequence[str]) -> list[str]:
    """Return the names of Parquet columns, those of two levels such as `('Close', 'AAPL')` last."""
    return sorted(names, key=lambda name: _TUPLE.fullmatch(name) is not None)


def tuple_header(names: Sequence[str]) -> list[list[str]]:
    """Return the header rows of Parquet columns; names of two levels give two rows."""
    pairs = [_TUPLE.fullmatch(name) for name in names]
    if not any(pairs):
        return [list(names)]
    upper = [pair[1] if pair else "" for pair in pairs]
    return [upper, [pair[2] if pair else name for pair, name in zip(pairs, names, strict=True)]]


def _one_level(rows: Sequence[Sequence[str]], start: int) -> Layout | HeaderFault | None:
    cells = rows[start]
    fields = [_FIELD_OF.get(_plain(cell)) for cell in cells]
    dates = _positions(fields, "date") or [k for k, cell in enumerate(cells) if k == 0 and _is_unnamed(cell)]
    known = {field[0] for field in fields if field} - {"date", "symbol", "period"}
    if not dates or len(cells) < 2:
        return HeaderFault(start + 1, _needs(cells)) if known else None
    chosen = {field: _positions(fields, field) for field in (*PRICE_FIELDS, "symbol", "period")}
    repeated = [field for field, places in chosen.items() if len(places) > 1 and field not in ("symbol", "period")]
    if len(dates) > 1 or "close" in repeated:
        return HeaderFault(start + 1, _needs(cells))
    if repeated:
        return HeaderFault(start + 1, f"the header has {', '.join(sorted(repeated))} twice; keep one of them")
    columns = tuple(Column(places[0], field) for field, places in chosen.items() if field in PRICE_FIELDS and places)
    if any(column.field in ("close", "adj_close") for column in columns):
        layout = Layout("", start + 1, len(cells), dates[0], columns, _only(chosen["symbol"]), _only(chosen["period"]))
        return _with_vendor(layout, cells)
    return _wide(cells, dates[0], start) if not known else HeaderFault(start + 1, _needs(cells))


def _wide(cells: Sequence[str], at: int, start: int) -> Layout | HeaderFault | None:
    """Return the layout of a file with a column of closes per symbol."""
    others = [(k, cell.strip()) for k, cell in enumerate(cells) if k != at and not _is_unnamed(cell)]
    if not others or not all(_TICKER_HEADER.fullmatch(name) for _, name in others):
        return HeaderFault(start + 1, _needs(cells)) if _FIELD_OF.get(_plain(cells[at])) else None
    columns = tuple(Column(k, "close", normalise_symbol(name)) for k, name in others)
    symbols = [column.symbol for column in columns]
    if twice := sorted({symbol for symbol in symbols if symbols.count(symbol) > 1}):
        return HeaderFault(start + 1, f"the header has {', '.join(twice)} twice; keep one of them")
    return Layout("closes, one column per symbol", start + 1, len(cells), at, columns)


def _two_levels(rows: Sequence[Sequence[str]], start: int) -> Layout | HeaderFault | None:
    """Return the layout of yfinance's header lines: fields and tickers, then perhaps Date."""
    if start + 1 >= len(rows) or len(rows[start]) < 2 or len(rows[start]) != len(rows[start + 1]):
        return None
    upper, lower = rows[start], rows[start + 1]
    if _is_date(upper[0]) or any(_is_number(cell) for cell in lower[1:]):
        return None
    fields, tickers = _level_fields(upper[1:]), lower[1:]
    if not fields:
        fields, tickers = _level_fields(lower[1:]), upper[1:]
    symbols = [normalise_symbol(ticker) for ticker in tickers]
    if not fields or not all(symbols):
        return None
    named = start + 2 < len(rows) and _is_date((rows[start + 2] or [""])[0]) and not any(rows[start + 2][1:])
    columns = tuple(
        Column(k, field, symbol)
        for k, (field, symbol) in enumerate(zip(fields, symbols, strict=True), start=1)
        if field in PRICE_FIELDS
    )
    if len({(column.field, column.symbol) for column in columns}) < len(columns):
        return HeaderFault(start + 1, "the header has a field of a symbol twice; keep one of them")
    if not any(column.field in ("close", "adj_close") for column in columns):
        return HeaderFault(start + 1, _needs(upper))
    form = "yfinance, one symbol" if len(set(symbols)) == 1 else "yfinance, several symbols"
    adjustment = _yfinance_adjustment({column.field for column in columns})
    return Layout(form, start + 2 + int(named), len(upper), 0, columns, adjustment=adjustment)


def _level_fields(cells: Sequence[str]) -> list[str]:
    """Return the field of each cell; nothing if one is unknown."""
    words = [_plain(cell) for cell in cells]
    fields = ["ignored" if word in ("capital gains", "repaired") else _FIELD_OF.get(word, ("",))[0] for word in words]
    return fields if all(field in (*PRICE_FIELDS, "ignored") for field in fields) else []


def _with_vendor(layout: Layout, cells: Sequence[str]) -> Layout:
    """Return a one-line layout with the vendor whose words it has."""
    words = {_plain(cell) for cell in cells}
    fields = {column.field for column in layout.columns}
    form, adjustment, vendor = "prices, one row per date", Adjustment.UNKNOWN, ""
    if {"<ticker>", "<close>"} <= {cell.strip().lower() for cell in cells}:
        form, adjustment, vendor = "Stooq", Adjustment.TOTAL, STOOQ
    elif "stock splits" in words and "dividends" in words:
        form, adjustment = "yfinance, history of one symbol", _yfinance_adjustment(fields)
    elif "close last" in words:
        form, adjustment = "Nasdaq.com", Adjustment.SPLIT
    elif words & {"timestamp"} and ("adjusted close" in words or fields <= {"open", "high", "low", "close", "volume"}):
        form = "Alpha Vantage"
        adjustment = Adjustment.SPLIT if "adj_close" in fields else Adjustment.UNKNOWN
    elif words & {"price", "zuletzt", "dernier", "ultimo"} and any("%" in word for word in words):
        form, adjustment = "Investing.com", Adjustment.SPLIT
    elif "adj_close" in fields and "close" in fields:
        is_yahoo = "Adj Close" in {cell.strip() for cell in cells}
        form, adjustment = "Yahoo download" if is_yahoo else "prices with adjusted closes", Adjustment.SPLIT
    elif "adj_close" in fields:
        form, adjustment = "adjusted closes", Adjustment.TOTAL
    if layout.symbol is not None and form != "Stooq":
        form += ", a column of symbols"
    return Layout(
        form,
        layout.first_row,
        layout.width,
        layout.date,
        layout.columns,
        layout.symbol,
        layout.period,
        adjustment,
        vendor,
    )


def _yfinance_adjustment(fields: set[str]) -> Adjustment:
    """Closes of yfinance are adjusted for everything, unless adjusted closes are next to them."""
    return Adjustment.SPLIT if "adj_close" in fields and "close" in fields else Adjustment.TOTAL


@lru_cache(maxsize=4096)
def _plain(cell: str) -> str:
    """Return a header word in lower case, without accents, numbering, punctuation and underscores."""
    text = unicodedata.normalize("NFKD", cell.strip().casefold())
    text = _NUMBERED.sub("", "".join(c for c in text if not unicodedata.combining(c)))
    return _SEPARATORS.sub(" ", text).strip()


def _positions(fields: Sequence[tuple[str, int] | None], name: str) -> list[int]:
    """Return the positions of a field's own words, else of its other words."""
    found = [(rank, k) for k, field in enumerate(fields) if field and field[0] == name for rank in (field[1],)]
    best = min((rank for rank, _ in found), default=0)
    return [k for rank, k in found if rank == best]


def _only(places: Sequence[int]) -> int | None:
    return places[0] if places else None


def _is_unnamed(cell: str) -> bool:
    return _UNNAMED.fullmatch(cell.strip().lower()) is not None


def _is_date(cell: str) -> bool:
    return _FIELD_OF.get(_plain(cell), ("",))[0] == "date"


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _needs(header: Sequence[str]) -> str:
    text = ", ".join(header)
    text = text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}..."
    return (
        f"the header needs one column date and one column close, it has {printable(text)!r}; "
        "write date,open,high,low,close,adj_close,volume"
    )
