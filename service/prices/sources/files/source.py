"""The price source `files:DIR`: a folder of recorded histories, served as of any instant."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np

from service.clock import process_now
from service.errors import SettingsError, SourceError
from service.prices.sources.base import FetchedPrices, Malformed, NoData, Record, UnknownSymbol
from service.prices.sources.files.adjustment import PRICE_RETURNS, settle_actions
from service.prices.sources.files.header import Adjustment
from service.prices.sources.files.index import Fingerprint, FolderIndex, fingerprint, index_folder
from service.prices.sources.files.limits import printable
from service.prices.sources.files.reader import FileTable, PriceFile, ReadRules, read_price_file
from service.prices.sources.replay import RecordedSeries, recorded_series, replay
from service.vocabulary import WEEKDAYS_ONLY

_log = logging.getLogger(__name__)

_CACHED_SERIES = 320
"""Number of parsed series kept in memory, about 0.25 MB each for twenty years."""

_CACHED_TABLES = 640
"""Number of tables of parsed files with several symbols kept in memory; the newest file is always kept."""

_NAMED = 5
"""Number of symbols or files that a sentence names."""

_SUNDAY = 6
"""Number of Sunday where Monday is 0."""


@dataclass(frozen=True, slots=True)
class LoadedSymbol:
    """The record of a symbol, and what its file was read as.

    Attributes:
        series: The whole record.
        path: Its file.
        form: What the file was read as.
        adjustment: What its closes are adjusted for.
        notes: What was recognised or assumed, as short phrases.
    """

    series: RecordedSeries
    path: Path
    form: str
    adjustment: Adjustment
    notes: tuple[str, ...]


class FilesSource:
    """Serves the recorded histories of a folder; thread-safe."""

    def __init__(self, folder: Path, cached: int = _CACHED_SERIES, newest_year: int | None = None) -> None:
        """Bind a folder; nothing is read before the first call.

        Args:
            folder: The folder; sub-folders are included.
            cached: Number of parsed series kept in memory; the least recently used is dropped first.
            newest_year: Last year that a row may have; None = next year.

        Raises:
            SettingsError: There is no such folder.
        """
        try:
            self._folder = folder.expanduser().resolve()
            is_folder = self._folder.is_dir()
        except (OSError, RuntimeError) as error:  # a loop of links, an unknown home folder
            raise SettingsError(
                f"TPLUS_SOURCE files:{printable(folder)}: {error}; name a folder with price files"
            ) from error
        if not is_folder:
            raise SettingsError(
                f"TPLUS_SOURCE files:{printable(folder)}: there is no such folder; name a folder with price files"
            )
        self._cached = cached
        self._newest_year = process_now().year + 1 if newest_year is None else newest_year
        self._lock = threading.Lock()
        self._index: FolderIndex | None = None
        self._stale = True
        self._record: Record | None = None
        self._series: OrderedDict[str, tuple[Fingerprint, LoadedSymbol]] = OrderedDict()
        self._files: OrderedDict[Path, tuple[Fingerprint, PriceFile | SourceError]] = OrderedDict()
        self._spans: dict[str, tuple[Fingerprint, Record]] = {}
        self._price_returns: set[str] = set()
        self._said: bool = False

    @property
    def name(self) -> str:
        """`files:<absolute folder>`."""
        return f"files:{self._folder}"

    @property
    def folder(self) -> Path:
        """The folder, absolute."""
        return self._folder

    @property
    def can_replay(self) -> bool:
        """True: a recorded source answers as of any instant."""
        return True

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return bars and actions as they were at an instant; see `PriceSource.fetch`.

        Raises:
            UnknownSymbol: No file holds the symbol.
            NoData: Its file has no rows, or none in the window that had opened by then.
            Malformed: Its file cannot be read, or two files serve it.
        """
        return replay(self.load(symbol).series, start, at)

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that have a file, sorted."""
        return tuple(self.index().files)

    def record(self) -> Record | None:
        """Return the first and last session over all readable files; None without any.

        The answer is cached until the next run.
        """
        index = self.index()
        if self._record is None:
            spans = [span for symbol, paths in _by_file(index) for span in self._span(symbol, paths)]
            if spans:
                self._record = Record(min(span.first for span in spans), max(span.last for span in spans))
            self._say_price_returns(len(spans))
        return self._record

    def faults(self) -> tuple[str, ...]:
        """Return why files or their symbols cannot be read, one sentence each."""
        index = self.index()
        sentences = [*index.unread]
        sentences += [claim.reason for claim in index.claims.values() if claim.reason and not claim.symbols]
        for symbol, _ in _by_file(index):
            try:
                self.load(symbol)
            except SourceError as error:
                sentences.append(str(error))
        return tuple(dict.fromkeys(sentences))

    def _say_price_returns(self, symbols: int) -> None:
        """Log once that closes are used without corporate actions."""
        if self._said or not self._price_returns:
            return
        self._said = True
        names = sorted(self._price_returns)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        _log.warning(
            "%d of %d symbols of %s have neither adjusted closes nor actions and are used as price returns: %s%s; "
            "add adj_close or an actions.csv for total returns",
            len(names), symbols, printable(self._folder), ", ".join(names[:_NAMED]), more,
        )  # fmt: skip

    def _span(self, symbol: str, paths: tuple[Path, ...]) -> list[Record]:
        """Return the span of a symbol; empty if its file cannot be read, which `fetch` reports."""
        try:
            cached = self._spans.get(symbol)
            if cached is not None and [cached[0]] == [fingerprint(path) for path in paths]:
                return [cached[1]]
            series = self.load(symbol).series
            return [Record(series.first, series.last)]
        except (SourceError, OSError):
            return []

    def begin_run(self) -> None:
        """Index the folder again at the next call; unchanged files are not parsed again."""
        with self._lock:
            self._stale = True

    def index(self) -> FolderIndex:
        """Return the index of the folder, made at the first call of a run."""
        with self._lock:
            if self._index is None or self._stale:
                index = index_folder(self._folder, self._index)
                self._record = None
                if self._index is not None and index.side_tables != self._index.side_tables:
                    self._series.clear()
                    self._files.clear()
                self._index, self._stale = index, False
            return self._index

    def load(self, symbol: str) -> LoadedSymbol:
        """Return the record of a symbol, and what its file was read as.

        The errors are those of `fetch`.
        """
        index = self.index()
        path = self._path(symbol, index)
        try:
            state = fingerprint(path)
        except OSError as error:
            reason = index.claims[path].reason
            if reason is not None:
                raise Malformed(reason) from error
            raise NoData(
                f"{symbol}: {printable(path)} is missing ({error.strerror}); restore it or remove the symbol"
            ) from error
        with self._lock:
            cached = self._series.get(symbol)
            if cached is not None and cached[0] == state:
                self._series.move_to_end(symbol)
                return cached[1]
        loaded = _load(symbol, path, self._read(path, state, index), index)
        with self._lock:
            self._series[symbol] = (state, loaded)
            self._spans[symbol] = (state, Record(loaded.series.first, loaded.series.last))
            (self._price_returns.add if PRICE_RETURNS in loaded.notes else self._price_returns.discard)(symbol)
            self._series.move_to_end(symbol)
            while len(self._series) > self._cached:
                self._series.popitem(last=False)
        return loaded

    def _path(self, symbol: str, index: FolderIndex) -> Path:
        paths = index.files.get(symbol, ())
        if not paths:
            for path, claim in index.claims.items():
                if claim.name.symbol == symbol:
                    held = ", ".join(claim.symbols[:_NAMED])
                    raise UnknownSymbol(
                        f"{symbol}: {printable(path)} holds {held}; use that symbol, or rename its columns"
                    )
            folder = printable(self._folder)
            unnamed = sum(1 for claim in index.claims.values() if not claim.symbols)
            refused = f" and {unnamed} files that cannot be read" if unnamed else ""
            raise UnknownSymbol(
                f"{symbol}: no file in {folder} holds that symbol; it holds {len(index.files)} symbols{refused}, "
                f"list them with `tplus files check {folder}` or add a file"
            )
        if len(paths) > 1:
            more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            named = " and ".join(map(printable, paths[:_NAMED]))
            raise Malformed(f"{symbol}: served by {named}{more}; keep one of the files")
        return paths[0]

    def _read(self, path: Path, state: Fingerprint, index: FolderIndex) -> PriceFile:
        """Return a parsed file; one with several symbols is kept, also if it is refused."""
        claim = index.claims[path]
        with self._lock:
            kept = self._files.get(path)
        file = kept[1] if kept is not None and kept[0] == state else None
        if file is None:
            try:
                file = read_price_file(path, claim.name, ReadRules(self._newest_year, _calendar_of(index)))
            except SourceError as error:
                file = error
            if len(claim.symbols) > 1:
                self._keep(path, state, file)
        if isinstance(file, SourceError):
            raise file
        return file

    def _keep(self, path: Path, state: Fingerprint, file: PriceFile | SourceError) -> None:
        with self._lock:
            self._files[path] = (state, file)
            self._files.move_to_end(path)
            sizes = [0 if isinstance(each, SourceError) else len(each.tables) for _, each in self._files.values()]
            while len(sizes) > 1 and sum(sizes) > _CACHED_TABLES:
                self._files.popitem(last=False)
                sizes.pop(0)


def _calendar_of(index: FolderIndex) -> Callable[[str], str]:
    def calendar_of(symbol: str) -> str:
        calendar = index.meta(symbol).calendar
        assert calendar is not None
        return calendar

    return calendar_of


def _by_file(index: FolderIndex) -> list[tuple[str, tuple[Path, ...]]]:
    """Return the symbols by file, so that each file is parsed once."""
    return sorted(index.files.items(), key=lambda item: item[1])


def _load(symbol: str, path: Path, file: PriceFile, index: FolderIndex) -> LoadedSymbol:
    table = file.tables.get(symbol)
    if table is None:
        raise NoData(f"{symbol}: {printable(path)} holds it no longer; restore its rows or remove the symbol")
    if isinstance(table, SourceError):
        raise table
    meta = index.meta(symbol)
    if meta.calendar == WEEKDAYS_ONLY:
        table = merge_sundays(table)
        if len(table.sessions) == 0:
            raise NoData(f"{printable(path)}: the file holds Sunday evenings only; add the weekdays")
    if not np.isfinite(table.bars[:, 3]).any():
        raise NoData(f"{printable(path)}: no row of {symbol} has a close; fill the file or remove it from the folder")
    settled = settle_actions(table, file.adjustment, index.actions.get(symbol))
    # A folder without a word about actions withdraws none that an earlier state of it had.
    states_actions = symbol in index.actions or any(
        column is not None for column in (table.adj_close, table.dividends, table.splits)
    )
    series = recorded_series(symbol, table.sessions, settled.bars, settled.actions, meta, states_actions)
    return LoadedSymbol(series, path, file.form, settled.adjustment, (*file.notes, *settled.notes))


def merge_sundays(table: FileTable) -> FileTable:
    """Merge each Sunday evening of a currency into Monday's bar.

    The merged bar has Sunday's open, the higher high, the lower low, Monday's close and the sum of the volumes. A
    Sunday without its Monday is left out: the session is missing.
    """
    days = table.sessions.astype(np.int64)
    sunday = (days + 3) % 7 == _SUNDAY
    if not bool(sunday.any()):
        return table
    evening = np.flatnonzero(sunday[:-1] & (np.diff(days) == 1))
    monday = evening + 1
    bars = table.bars.copy()
    before, after = table.bars[evening], table.bars[monday]
    bars[monday, 0] = np.where(np.isnan(before[:, 0]), after[:, 0], before[:, 0])
    bars[monday, 1] = np.fmax(before[:, 1], after[:, 1])
    bars[monday, 2] = np.fmin(before[:, 2], after[:, 2])
    volumes = np.stack([before[:, 4], after[:, 4]])
    bars[monday, 4] = np.where(np.isnan(volumes).all(axis=0), np.nan, np.nansum(volumes, axis=0))
    kept = ~sunday
    others = (table.adj_close, table.dividends, table.splits)
    return FileTable(table.sessions[kept], bars[kept], *(None if column is None else column[kept] for column in others))
