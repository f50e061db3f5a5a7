"""The price source `files:DIR`: a folder of recorded histories, served as of any instant."""

import threading
from collections import OrderedDict
from datetime import date, datetime
from pathlib import Path

import numpy as np

from service.errors import SettingsError, SourceError
from service.prices.sources.base import FetchedPrices, Malformed, NoData, Record, UnknownSymbol
from service.prices.sources.file_index import Fingerprint, FolderIndex, fingerprint, index_folder
from service.prices.sources.file_reader import FileTable, read_table
from service.prices.sources.implied_factors import derive_factors
from service.prices.sources.replay import RecordedSeries, recorded_series, replay
from service.vocabulary import WEEKDAYS_ONLY

_CACHED_SERIES = 320
"""Number of parsed files kept in memory, about 0.25 MB each for twenty years."""

_SUNDAY = 6
"""Number of Sunday where Monday is 0."""


class FilesSource:
    """Serves the recorded histories of a folder, one file per symbol; thread-safe."""

    def __init__(self, folder: Path, cached: int = _CACHED_SERIES) -> None:
        """Bind a folder; nothing is read before the first call.

        Args:
            folder: The folder; sub-folders are included.
            cached: Number of parsed files kept in memory; the least recently used is dropped first.

        Raises:
            SettingsError: There is no such folder.
        """
        self._folder = folder.expanduser().resolve()
        if not self._folder.is_dir():
            raise SettingsError(f"TPLUS_SOURCE files:{folder}: there is no such folder; name a folder with price files")
        self._cached = cached
        self._lock = threading.Lock()
        self._index: FolderIndex | None = None
        self._stale = True
        self._record: Record | None = None
        self._series: OrderedDict[str, tuple[Fingerprint, RecordedSeries]] = OrderedDict()
        self._spans: dict[str, tuple[Fingerprint, Record]] = {}

    @property
    def name(self) -> str:
        """`files:<absolute folder>`."""
        return f"files:{self._folder}"

    @property
    def can_replay(self) -> bool:
        """True: a recorded source answers as of any instant."""
        return True

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return bars and actions as they were at an instant; see `PriceSource.fetch`.

        Raises:
            UnknownSymbol: No file has the symbol's name.
            NoData: Its file has no rows, or none in the window that had opened by then.
            Malformed: Its file cannot be read, lacks raw or adjusted closes, or two files serve it.
        """
        return replay(self._load(symbol), start, at)

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that have a file, sorted."""
        return tuple(self._indexed().files)

    def record(self) -> Record | None:
        """Return the first and last session over all readable files; None without any.

        The answer is cached until the next run.
        """
        index = self._indexed()
        if self._record is None:
            spans = [span for symbol, paths in index.files.items() for span in self._span(symbol, paths)]
            if spans:
                self._record = Record(min(span.first for span in spans), max(span.last for span in spans))
        return self._record

    def _span(self, symbol: str, paths: tuple[Path, ...]) -> list[Record]:
        """Return the span of a symbol; empty if its file cannot be read, which `fetch` reports."""
        try:
            cached = self._spans.get(symbol)
            if cached is not None and [cached[0]] == [fingerprint(path) for path in paths]:
                return [cached[1]]
            series = self._load(symbol)
            return [Record(series.first, series.last)]
        except (SourceError, OSError):
            return []

    def begin_run(self) -> None:
        """Index the folder again at the next call; unchanged files are not parsed again."""
        with self._lock:
            self._stale = True

    def _indexed(self) -> FolderIndex:
        with self._lock:
            if self._index is None or self._stale:
                index = index_folder(self._folder, self._index)
                self._record = None
                if self._index is not None and index.side_tables != self._index.side_tables:
                    self._series.clear()
                self._index, self._stale = index, False
            return self._index

    def _load(self, symbol: str) -> RecordedSeries:
        index = self._indexed()
        paths = index.files.get(symbol, ())
        if not paths:
            raise UnknownSymbol(
                f"{symbol}: no file in {self._folder} has that name; it holds {len(index.files)} symbols, list them "
                "with `tplus symbols list` or add a file"
            )
        if len(paths) > 1:
            raise Malformed(f"{symbol}: served by {' and '.join(map(str, paths))}; keep one of the files")
        try:
            state = fingerprint(paths[0])
        except OSError as error:
            raise NoData(
                f"{symbol}: {paths[0]} is missing ({error.strerror}); restore it or remove the symbol"
            ) from error
        with self._lock:
            cached = self._series.get(symbol)
            if cached is not None and cached[0] == state:
                self._series.move_to_end(symbol)
                return cached[1]
        series = _read(symbol, paths[0], index)
        with self._lock:
            self._series[symbol] = (state, series)
            self._spans[symbol] = (state, Record(series.first, series.last))
            self._series.move_to_end(symbol)
            while len(self._series) > self._cached:
                self._series.popitem(last=False)
        return series


def _read(symbol: str, path: Path, index: FolderIndex) -> RecordedSeries:
    table = read_table(path)
    meta = index.meta(symbol)
    if meta.calendar == WEEKDAYS_ONLY:
        table = merge_sundays(table)
        if len(table.sessions) == 0:
            raise NoData(f"{path}: the file holds Sunday evenings only; add the weekdays")
    actions = index.actions.get(symbol)
    if not np.isfinite(table.bars[:, 3]).any():
        raise NoData(f"{path}: no row has a close; fill the file or remove it from the folder")
    if actions is None:
        if table.adj_close is None:
            raise Malformed(
                f"{path}:1: adjusted and raw closes are both needed; add an adj_close column, "
                f"or list the dividends and splits of {symbol} in actions.csv"
            )
        actions = derive_factors(table.sessions, table.bars[:, 3], table.adj_close)
    return recorded_series(symbol, table.sessions, table.bars, actions, meta)


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
    return FileTable(table.sessions[kept], bars[kept], None if table.adj_close is None else table.adj_close[kept])
