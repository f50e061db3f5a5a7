"""Reports on every file of a folder: read as what, or why not."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from service.errors import SourceError
from service.prices.sources.files.names import SUFFIXES
from service.prices.sources.files.source import FilesSource


@dataclass(frozen=True, slots=True)
class SymbolReport:
    """What is read of one symbol.

    Attributes:
        symbol: Yahoo-style name.
        rows: Number of rows; 0 if they cannot be used.
        first: First row's date, None without rows.
        last: Last row's date, None without rows.
        calendar: Calendar that its rows are matched with; None without rows.
        adjustment: `split`, `total` or `unknown`; None without rows.
        notes: What was recognised or assumed, as short phrases.
        reason: Why its rows cannot be used, None if they can.
    """

    symbol: str
    rows: int = 0
    first: date | None = None
    last: date | None = None
    calendar: str | None = None
    adjustment: str | None = None
    notes: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class MatchedCalendar:
    """The calendar of a symbol after its rows were checked against it.

    Attributes:
        name: Calendar that its rows are matched with.
        first: First row's session.
        last: Last row's session.
        notes: What was assumed or is wrong, as short phrases.
    """

    name: str
    first: date
    last: date
    notes: tuple[str, ...] = ()


MatchCalendar = Callable[[str], MatchedCalendar]
"""Checks the rows of a symbol against its calendar."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What is read of one file.

    Attributes:
        path: The file, relative to the folder.
        read_as: What it was read as, None if it was not.
        symbols: Its symbols.
        reason: Why it is not read, None if it is.
        skipped: Whether its name is not one of a price file.
    """

    path: Path
    read_as: str | None
    symbols: tuple[SymbolReport, ...] = ()
    reason: str | None = None
    skipped: bool = False

    @property
    def refused(self) -> bool:
        """Whether a price file, or one of its symbols, cannot be used."""
        return not self.skipped and (self.reason is not None or any(each.reason for each in self.symbols))


def check_folder(source: FilesSource, match: MatchCalendar) -> tuple[FileReport, ...]:
    """Read every file of a folder and report on each, by path.

    Args:
        source: The folder.
        match: Checks the rows of a symbol against its calendar, as a pull does.

    Raises:
        Malformed: A manifest or list cannot be read.
    """
    index = source.index()
    reports = [FileReport(_relative(source, state.path), _side_table(state.path)) for state in index.side_tables]
    endings = ", ".join(sorted(ending for ending in SUFFIXES if not ending.endswith(".gz")))
    reports += [
        FileReport(
            _relative(source, path), None, reason=f"not a price file: its name ends in none of {endings}", skipped=True
        )
        for path in index.skipped
    ]
    for path, claim in index.claims.items():
        relative = _relative(source, path)
        if claim.reason is not None:
            reports.append(FileReport(relative, None, reason=claim.reason))
            continue
        forms: dict[str, None] = {}
        symbols = tuple(_symbol(source, symbol, match, forms) for symbol in claim.symbols)
        reasons = {each.reason for each in symbols}
        # What refuses all symbols of a file refuses the file.
        reason = next(iter(reasons)) if len(reasons) == 1 else None
        reports.append(FileReport(relative, next(iter(forms), None), symbols, reason))
    return tuple(sorted(reports, key=lambda report: report.path))


def _symbol(source: FilesSource, symbol: str, match: MatchCalendar, forms: dict[str, None]) -> SymbolReport:
    """Return the report on a symbol; `forms` collects what its file was read as."""
    try:
        loaded = source.load(symbol)
        matched = match(symbol)
    except SourceError as error:
        return SymbolReport(symbol, reason=str(error))
    forms[loaded.form] = None
    rows, notes = len(loaded.series.sessions), (*loaded.notes, *matched.notes)
    return SymbolReport(symbol, rows, matched.first, matched.last, matched.name, loaded.adjustment.value, notes)


def _side_table(path: Path) -> str:
    name = path.name.split(".")[0]
    return {"actions": "list of actions", "manifest": "manifest", "symbols": "list of the symbols of files"}[name]


def _relative(source: FilesSource, path: Path) -> Path:
    return path.relative_to(source.folder)
