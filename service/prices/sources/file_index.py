"""Indexes a folder of price files: the files of each symbol, manifests and lists of actions."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Final

from service.market.exchange_codes import calendar_by_name, calendar_for
from service.prices.sources.base import Action, ActionKind, InstrumentMeta, Malformed
from service.prices.sources.file_reader import SUFFIXES, read_rows
from service.vocabulary import ALWAYS_OPEN, WEEKDAYS_ONLY

_ACTIONS: Final = ("actions.csv", "actions.csv.gz")
_MANIFEST: Final = ("manifest.csv", "manifest.csv.gz")
_CURRENCY_LENGTH: Final = 3


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The state of a file: path, modification time in nanoseconds, size in bytes."""

    path: Path
    modified: int
    size: int


@dataclass(frozen=True, slots=True)
class FolderIndex:
    """Index of a folder.

    Attributes:
        files: Files by symbol; more than one is an error for that symbol.
        actions: Actions by symbol, for the symbols in a list of actions.
        metas: Metadata of the manifests by symbol; `calendar` is always set.
        side_tables: States of the manifests and lists of actions that were read.
    """

    files: dict[str, tuple[Path, ...]]
    actions: dict[str, tuple[Action, ...]]
    metas: dict[str, InstrumentMeta]
    side_tables: tuple[Fingerprint, ...]

    def meta(self, symbol: str) -> InstrumentMeta:
        """Return the metadata of a symbol from the manifest, else derived from its name."""
        if symbol in self.metas:
            return self.metas[symbol]
        calendar = calendar_for(symbol)
        return InstrumentMeta(calendar=calendar, instrument_type=_instrument_type(symbol, calendar, ""))


def fingerprint(path: Path) -> Fingerprint:
    """Return the state of a file; OSError if it is missing."""
    state = path.stat()
    return Fingerprint(path, state.st_mtime_ns, state.st_size)


def index_folder(folder: Path, earlier: FolderIndex | None = None) -> FolderIndex:
    """Index every price file in a folder and all folders below it.

    Args:
        folder: The folder. Names that begin with a dot are skipped.
        earlier: An earlier index; its side tables are reused if their files have not changed.

    Raises:
        Malformed: A manifest or list of actions cannot be read.
    """
    files: dict[str, list[Path]] = {}
    actions: list[Path] = []
    manifests: list[Path] = []
    for path in _walk(folder):
        name = path.name
        if name in _ACTIONS:
            actions.append(path)
        elif name in _MANIFEST:
            manifests.append(path)
        else:
            suffix = next((end for end in SUFFIXES if name.endswith(end) and name != end), None)
            if suffix:
                files.setdefault(name.removesuffix(suffix), []).append(path)
    served = {symbol: tuple(paths) for symbol, paths in sorted(files.items())}
    state = tuple(fingerprint(path) for path in actions + manifests)
    if earlier is not None and earlier.side_tables == state:
        return FolderIndex(served, earlier.actions, earlier.metas, state)
    return FolderIndex(served, _actions(actions), _metas(manifests), state)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _actions(paths: list[Path]) -> dict[str, tuple[Action, ...]]:
    found: dict[str, list[Action]] = {}
    for path in paths:
        for line, row in read_rows(path, ("symbol", "date", "dividend", "split")):
            listed = found.setdefault(row["symbol"], [])
            day = _day(path, line, row["date"])
            dividend = _figure(path, line, row["dividend"] or "0", "dividend")
            split = _figure(path, line, row["split"] or "0", "split")
            if dividend > 0:
                listed.append(Action(day, ActionKind.DIVIDEND, dividend))
            if split not in (0.0, 1.0):
                listed.append(Action(day, ActionKind.SPLIT, split))
    return {symbol: tuple(sorted(listed, key=lambda a: (a.ex_date, a.kind))) for symbol, listed in found.items()}


def _day(path: Path, line: int, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Malformed(f"{path}:{line}: date {text!r} is not an ISO date such as 2018-12-31; repair it") from error


def _figure(path: Path, line: int, text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value >= 0):
        raise Malformed(f"{path}:{line}: {name} {text!r} is not a number of 0 or more; repair it")
    return value


def _metas(paths: list[Path]) -> dict[str, InstrumentMeta]:
    metas: dict[str, InstrumentMeta] = {}
    for path in paths:
        for _, row in read_rows(path, ("symbol", "group", "calendar", "currency")):
            symbol = row["symbol"]
            exchange = row["calendar"].strip()
            calendar = calendar_by_name(exchange) or calendar_for(symbol, exchange or None)
            instrument_type = _instrument_type(symbol, calendar, row["group"])
            metas[symbol] = InstrumentMeta(
                calendar=calendar, currency=_currency(row["currency"]), instrument_type=instrument_type
            )
    return metas


def _currency(text: str) -> str | None:
    """Return `USD` for `USD` and `USD per EUR`; None for `index points`."""
    first = text.split()[0] if text.split() else ""
    return first if len(first) == _CURRENCY_LENGTH and first.isalpha() else None


def _instrument_type(symbol: str, calendar: str, group: str) -> str:
    if symbol.startswith("^"):
        return "INDEX"
    if calendar == ALWAYS_OPEN:
        return "CRYPTOCURRENCY"
    if calendar == WEEKDAYS_ONLY:
        return "CURRENCY"
    if symbol.endswith("=F"):
        return "FUTURE"
    return "ETF" if "etf" in group.lower() else "EQUITY"
