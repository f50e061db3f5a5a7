"""The price source `sample`: five bundled US stocks up to 2013-03-01; see sample.md."""

import gzip
import threading
from datetime import date, datetime
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from service.prices.sources.base import Action, ActionKind, FetchedPrices, InstrumentMeta, Record, UnknownSymbol
from service.prices.sources.replay import COLUMNS, RecordedSeries, recorded_series, replay

_DATA = "sample.csv.gz"

_COMPANIES = {
    "AAPL": ("Apple Inc.", "NMS"),
    "FB": ("Facebook, Inc.", "NMS"),
    "GOOG": ("Google Inc.", "NMS"),
    "IBM": ("International Business Machines Corporation", "NYQ"),
    "MSFT": ("Microsoft Corporation", "NMS"),
}


class SampleSource:
    """Serves the bundled recorded histories; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: dict[str, RecordedSeries] | None = None

    @property
    def name(self) -> str:
        """`sample`."""
        return "sample"

    @property
    def can_replay(self) -> bool:
        """True: a recorded source answers as of any instant."""
        return True

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return bars and actions as they were at an instant; see `PriceSource.fetch`.

        Raises:
            UnknownSymbol: The sample does not hold the symbol.
            NoData: None of its sessions in the window had opened by then.
        """
        series = self._series().get(symbol)
        if series is None:
            raise UnknownSymbol(
                f"{symbol}: the sample holds {', '.join(self.symbols())} only; use one of them, "
                "or set TPLUS_SOURCE to yahoo or files:DIR"
            )
        return replay(series, start, at)

    def symbols(self) -> tuple[str, ...]:
        """Return the five symbols, sorted."""
        return tuple(sorted(self._series()))

    def record(self) -> Record:
        """Return the first and last session over all symbols."""
        spans = self._series().values()
        return Record(min(series.first for series in spans), max(series.last for series in spans))

    def faults(self) -> tuple[str, ...]:
        """Return nothing: the sample can always be read."""
        return ()

    def begin_run(self) -> None:
        """Do nothing: the sample never changes."""

    def _series(self) -> dict[str, RecordedSeries]:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load()
            return self._loaded


def _load() -> dict[str, RecordedSeries]:
    data = gzip.decompress(files("service.prices.sources").joinpath(_DATA).read_bytes())
    figures = dict.fromkeys((*COLUMNS, "dividend", "split"), pa.float64())
    table = pa_csv.read_csv(
        pa.BufferReader(data),
        read_options=pa_csv.ReadOptions(use_threads=False),
        convert_options=pa_csv.ConvertOptions(column_types={"date": pa.date32(), **figures}),
    )
    symbols = np.array(table["symbol"].to_pylist())
    sessions = table["date"].to_numpy().astype("datetime64[D]")
    bars = np.column_stack([table[name].to_numpy() for name in COLUMNS])
    dividends, splits = table["dividend"].to_numpy(), table["split"].to_numpy()
    loaded: dict[str, RecordedSeries] = {}
    for symbol, (company, exchange) in _COMPANIES.items():
        is_symbol = symbols == symbol
        paid = np.flatnonzero(is_symbol & (dividends > 0))
        split = np.flatnonzero(is_symbol & (splits != 1))
        actions = (
            *(Action(sessions[k].astype(object), ActionKind.DIVIDEND, float(dividends[k])) for k in paid),
            *(Action(sessions[k].astype(object), ActionKind.SPLIT, float(splits[k])) for k in split),
        )
        meta = InstrumentMeta(company, exchange, "XNYS", "USD", "EQUITY")
        loaded[symbol] = recorded_series(symbol, sessions[is_symbol], bars[is_symbol], actions, meta)
    return loaded
