"""Load the recorded prices of a folder as a panel, for benchmarks of accuracy without the service."""

from collections.abc import Iterable
from pathlib import Path

import exchange_calendars
import numpy as np
import pandas as pd

from models.errors import PriceHistoryError
from models.preprocessing.price_history import DateArray, FloatArray, Panel, PriceHistory

SETTLE = np.timedelta64(90, "m")
"""Time after a session's close at which its bar is final."""


def load_panel(folder: Path, symbols: Iterable[str], references: Iterable[str], calendar: str = "XNYS") -> Panel:
    """Read gzipped CSV files and return them on the session grid of an exchange.

    Open, high and low are scaled by `adj_close / close`, so that all prices have the basis of adj_close.

    Args:
        folder: Searched at any depth for `<symbol>.csv.gz` (a leading ^ may be missing in the file name).
        symbols: Symbols to forecast.
        references: Reference series, on the same calendar.
        calendar: Name in exchange_calendars.

    Returns:
        Price histories in the order of `symbols`, each from its first to its last recorded session.

    Raises:
        PriceHistoryError: A symbol has no file below the folder.
    """
    paths = {path.name.removesuffix(".csv.gz"): path for path in sorted(folder.rglob("*.csv.gz"))}
    closes = exchange_calendars.get_calendar(calendar, start="1990-01-02", end="2024-12-31").closes
    sessions = closes.index.to_numpy().astype("datetime64[D]")
    final_at = (closes.dt.tz_convert(None).to_numpy().astype("datetime64[s]") + SETTLE).astype("datetime64[s]")

    def history(symbol: str) -> PriceHistory:
        path = paths.get(symbol) or paths.get(symbol.removeprefix("^"))
        if path is None:
            raise PriceHistoryError(f"{symbol}: no {symbol}.csv.gz below {folder}; use a symbol that is recorded there")
        return _history(symbol, calendar, pd.read_csv(path, parse_dates=["date"]), sessions, final_at)

    return Panel(
        histories=tuple(history(symbol) for symbol in symbols),
        references={symbol: history(symbol) for symbol in references},
    )


def recorded_symbols(folder: Path) -> tuple[str, ...]:
    """Return the sorted symbols of the files of one folder."""
    return tuple(sorted(path.name.removesuffix(".csv.gz") for path in folder.glob("*.csv.gz")))


def _history(symbol: str, calendar: str, bars: pd.DataFrame, sessions: DateArray, final_at: DateArray) -> PriceHistory:
    """Return one symbol on the grid; a session without a row is a hole, a row without a session is left out."""
    days = bars["date"].to_numpy().astype("datetime64[D]")
    inside = (sessions >= days[0]) & (sessions <= days[-1])
    on_grid = bars.set_index(pd.DatetimeIndex(days)).reindex(pd.DatetimeIndex(sessions[inside]))
    factor = (on_grid["adj_close"] / on_grid["close"]).to_numpy(dtype=np.float64)

    def adjusted(column: str) -> FloatArray:
        values: FloatArray = on_grid[column].to_numpy(dtype=np.float64) * factor
        return values

    return PriceHistory(
        symbol=symbol,
        group="equity",
        calendar=calendar,
        sessions=sessions[inside],
        final_at=final_at[inside],
        open=adjusted("open"),
        high=adjusted("high"),
        low=adjusted("low"),
        close=adjusted("close"),
        volume=on_grid["volume"].to_numpy(dtype=np.float64),
    )
