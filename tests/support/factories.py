"""Random price histories and panels for tests: geometric random walks on realistic session grids."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.config import ModelConfig, Reference, ReferenceRole, Strategy
from models.preprocessing.price_history import Panel, PriceHistory

SPY = Reference("SPY", ReferenceRole.MARKET)
VIX = Reference("^VIX", ReferenceRole.VOLATILITY)

_FINAL_HOURS = {"XNYS": 22.5, "XTKS": 7.5}
_HALF_DAY_EVERY = 50


def make_frame(
    symbol: str, n: int, seed: int, holes: Sequence[int] = (), calendar: str = "XNYS", sigma: float = 0.02
) -> PriceHistory:
    """Return a random walk of `n` sessions from 2000-01-03; XNYS bars are final at 22:30 UTC, XTKS at 07:30.

    Every fiftieth session is a half day, final three hours earlier. `holes` are rows without a bar.
    """
    random = np.random.default_rng(seed)
    sessions = np.busday_offset("2000-01-03", np.arange(n), roll="forward").astype("datetime64[D]")
    minutes = np.full(n, int(_FINAL_HOURS[calendar] * 60))
    minutes[sessions.astype(np.int64) % _HALF_DAY_EVERY == 0] -= 180
    close = 50 * np.exp(np.cumsum(random.normal(0, sigma, n)))
    opened = close * np.exp(random.normal(0, sigma / 2, n))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * np.exp(np.abs(random.normal(0, sigma / 2, n))),
        "low": np.minimum(opened, close) * np.exp(-np.abs(random.normal(0, sigma / 2, n))),
        "close": close,
        "volume": np.exp(random.normal(14, 0.4, n)),
    }
    for column in columns.values():
        column[list(holes)] = np.nan
    final_at = sessions.astype("datetime64[s]") + minutes.astype("timedelta64[m]")
    return PriceHistory(symbol, "equity", calendar, sessions, final_at, **columns)


def frame_of_closes(close: NDArray[np.float64], symbol: str = "AAA") -> PriceHistory:
    """Return a price history with the given closes as open, high and low too, and a volume of 1,000 shares."""
    grid = make_frame(symbol, len(close), seed=0)
    volume = np.where(np.isnan(close), np.nan, 1000.0)
    return PriceHistory(
        symbol, "equity", "XNYS", grid.sessions, grid.final_at, close.copy(), close.copy(), close.copy(), close, volume
    )


def make_panel(n: int, seed: int, symbols: Sequence[str] = ("AAA", "BBB"), tokyo: Sequence[str] = ("7203.T",)) -> Panel:
    """Return a panel of New York and Tokyo symbols, with SPY and ^VIX on the New York sessions."""
    names = [(name, "XNYS") for name in symbols] + [(name, "XTKS") for name in tokyo]
    frames = tuple(
        make_frame(name, n, seed * 100 + index, calendar=calendar) for index, (name, calendar) in enumerate(names)
    )
    references = {
        "SPY": make_frame("SPY", n, seed * 100 + 98, sigma=0.01),
        "^VIX": make_frame("^VIX", n, seed * 100 + 99, sigma=0.05),
    }
    return Panel(frames, references)


def make_recipe(
    strategy: Strategy = Strategy.MULTI_STEP, lookback: int = 5, references: tuple[Reference, ...] = (SPY, VIX)
) -> ModelConfig:
    """Return a model config with SPY and ^VIX among its inputs."""
    return ModelConfig("lstm", strategy, lookback=lookback, references=references)


def with_changes(frame: PriceHistory, rows: slice | NDArray[np.bool_], seed: int) -> PriceHistory:
    """Return the history with other prices in some rows; a fifth of them become missing."""
    random = np.random.default_rng(seed)
    columns = [column.copy() for column in (frame.open, frame.high, frame.low, frame.close, frame.volume)]
    for column in columns:
        column[rows] *= np.exp(random.normal(0, 0.3, len(column[rows])))
    hole = random.random(len(columns[0][rows])) < 0.2
    for column in columns:
        changed = column[rows]
        changed[hole] = np.nan
        column[rows] = changed
    opens, highs, lows, closes, volumes = columns
    return PriceHistory(
        frame.symbol, frame.group, frame.calendar, frame.sessions, frame.final_at, opens, highs, lows, closes, volumes
    )


def after(frame: PriceHistory, instant: np.datetime64) -> NDArray[np.bool_]:
    """Return a mask of the rows that are not final at an instant."""
    later: NDArray[np.bool_] = frame.final_at > instant
    return later


def known_at(frame: PriceHistory, instant: np.datetime64) -> PriceHistory:
    """Return the history as it was at an instant."""
    return frame.until(int(np.searchsorted(frame.final_at, instant, side="right")))


def last_rows(panel: Panel, rows: int) -> Panel:
    """Return only the last rows of every history and reference."""

    def cut(frame: PriceHistory) -> PriceHistory:
        return frame.slice(max(0, len(frame) - rows), len(frame))

    return Panel(
        tuple(cut(frame) for frame in panel.histories),
        {symbol: cut(frame) for symbol, frame in panel.references.items()},
    )
