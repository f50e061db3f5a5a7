"""Reads manifests, lists of actions, and lists of the symbols of files."""

import csv
import io
from collections.abc import Iterable
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Final

from service.market.exchange_codes import calendar_by_name, calendar_for
from service.prices.sources.base import Action, ActionKind, InstrumentMeta, Malformed
from service.prices.sources.files.limits import check_lines, fault, printable, read_bytes
from service.prices.sources.files.names import SYMBOL
from service.prices.sources.files.text import decode
from service.vocabulary import ALWAYS_OPEN, WEEKDAYS_ONLY

ACTIONS: Final = ("actions.csv", "actions.csv.gz")
MANIFEST: Final = ("manifest.csv", "manifest.csv.gz")
SYMBOLS: Final = ("symbols.csv", "symbols.csv.gz")
_CURRENCY_LENGTH: Final = 3
_SHOWN: Final = 60


def read_rows(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of a small CSV file with line numbers, as text by column.

    Raises:
        Malformed: It cannot be read, exceeds a limit, or lacks a column.
    """
    text = decode(path, read_bytes(path))[0]
    check_lines(path, text)
    reader = csv.DictReader(io.StringIO(text.decode(), newline=""))
    try:
        missing = [column for column in columns if column not in (reader.fieldnames or [])]
        if missing:
            raise fault(path, 1, f"the header lacks {', '.join(missing)}; it needs {','.join(columns)}")
        return [(reader.line_num, {name: row[name] or "" for name in columns}) for row in reader]
    except csv.Error as error:
        raise fault(path, reader.reader.line_num, f"cannot be read as CSV ({error}); repair the line") from error


def read_actions(paths: Iterable[Path]) -> dict[str, tuple[Action, ...]]:
    """Return the actions that lists name, by symbol, ascending.

    Raises:
        Malformed: A list cannot be read; the message names the line.
    """
    found: dict[str, list[Action]] = {}
    for path in paths:
        for line, row in read_rows(path, ("symbol", "date", "dividend", "split")):
            listed = found.setdefault(_symbol(row), [])
            day = _day(path, line, row["date"])
            dividend = _figure(path, line, row["dividend"] or "0", "dividend")
            split = _figure(path, line, row["split"] or "0", "split")
            if dividend > 0:
                listed.append(Action(day, ActionKind.DIVIDEND, dividend))
            if split not in (0.0, 1.0):
                listed.append(Action(day, ActionKind.SPLIT, split))
    return {symbol: tuple(sorted(listed, key=lambda a: (a.ex_date, a.kind))) for symbol, listed in found.items()}


def read_metas(paths: Iterable[Path]) -> dict[str, InstrumentMeta]:
    """Return the metadata that manifests give, by symbol; `calendar` is always set.

    Raises:
        Malformed: A manifest cannot be read.
    """
    metas: dict[str, InstrumentMeta] = {}
    for path in paths:
        for _, row in read_rows(path, ("symbol", "group", "calendar", "currency")):
            symbol = _symbol(row)
            exchange = row["calendar"].strip()
            calendar = calendar_by_name(exchange) or calendar_for(symbol, exchange or None)
            metas[symbol] = InstrumentMeta(
                calendar=calendar,
                currency=_currency(row["currency"]),
                instrument_type=instrument_type(symbol, calendar, row["group"]),
                calendar_stated=True if exchange else None,
            )
    return metas


def read_file_symbols(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the symbols that lists give to files.

    A file is named relative to its list.

    Raises:
        Malformed: A list cannot be read, or names something that is not a symbol.
    """
    symbols: dict[Path, str] = {}
    for path in paths:
        for line, row in read_rows(path, ("file", "symbol")):
            symbol = _symbol(row)
            if not SYMBOL.fullmatch(symbol):
                raise fault(path, line, f"{printable(symbol)[:_SHOWN]!r} is not a symbol; write it as Yahoo does")
            symbols[path.parent / row["file"].strip()] = symbol
    return symbols


def instrument_type(symbol: str, calendar: str, group: str = "") -> str:
    """Return Yahoo's instrument type by symbol, calendar, and group of the manifest."""
    if symbol.startswith("^"):
        return "INDEX"
    if calendar == ALWAYS_OPEN:
        return "CRYPTOCURRENCY"
    if calendar == WEEKDAYS_ONLY:
        return "CURRENCY"
    if symbol.endswith("=F"):
        return "FUTURE"
    return "ETF" if "etf" in group.lower() else "EQUITY"


def _symbol(row: dict[str, str]) -> str:
    return row["symbol"].strip().upper()


def _day(path: Path, line: int, text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise _wrong(path, line, f"date {printable(text)[:_SHOWN]!r} is not an ISO date such as 2018-12-31") from error


def _figure(path: Path, line: int, text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value >= 0):
        raise _wrong(path, line, f"{name} {printable(text)[:_SHOWN]!r} is not a number of 0 or more")
    return value


def _wrong(path: Path, line: int, reason: str) -> Malformed:
    return fault(path, line, f"{reason}; repair it")


def _currency(text: str) -> str | None:
    """Return `USD` for `USD` and `USD per EUR`; None for `index points`."""
    first = text.split()[0] if text.split() else ""
    return first if len(first) == _CURRENCY_LENGTH and first.isalpha() else None
