"""Backtest files of a simulated panel: Gaussian returns of known volatility."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from models.backtest.forecast_table import UNKNOWN, Entry, ForecastTable
from models.config import QUANTILES

NAMES = ("q025", "q10", "q25", "q50", "q75", "q90", "q975")
Z = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])


@dataclass(frozen=True, slots=True)
class Panel:
    """Simulated daily log returns, independent over symbols and days: `returns[s, t]` is normal with `sigma[s, t]`.

    Volatility moves in waves over the days and differs between symbols; both are known at as_of.
    """

    symbols: tuple[str, ...]
    sessions: np.ndarray
    sigma: np.ndarray
    returns: np.ndarray


def simulate(symbols: int = 8, sessions: int = 260, seed: int = 0) -> Panel:
    """Return a panel on weekdays from 2015-01-01."""
    random = np.random.default_rng(seed)
    days = np.busday_offset("2015-01-01", np.arange(sessions), roll="forward").astype("datetime64[D]")
    waves = 1 + 0.6 * np.sin(np.arange(sessions) / 20)
    sigma = 0.01 * np.linspace(0.8, 2.0, symbols)[:, None] * waves[None, :]
    names = tuple(f"S{index:02d}" for index in range(symbols))
    return Panel(names, days, sigma, sigma * random.normal(size=sigma.shape))


@dataclass(frozen=True, slots=True)
class Maker:
    """Parameters of a simulated forecaster.

    Attributes:
        forecaster: Its name in the file.
        strategy: Its strategy; the steps follow from it.
        width: Factor on the true standard deviation: 1 is calibrated.
        raw_width: The same before calibration.
        copy: Share of as_of's own return that the median repeats.
        insight: Share of the outcome that the median contains: look-ahead.
        lookback: Its lookback.
        seed: Its seed, None for a forecast as served.
        refit: As_of sessions between fits; 0 = no fold column.
    """

    forecaster: str
    strategy: str = "multi_step"
    width: float = 1.0
    raw_width: float = 1.0
    copy: float = 0.0
    insight: float = 0.0
    lookback: int = 5
    seed: int | None = None
    refit: int = 0


def rows_of(panel: Panel, maker: Maker) -> pd.DataFrame:
    """Return the rows of one forecaster: every symbol, every session with three known targets, every step."""
    horizon = 1 if maker.strategy == "one_step" else 3
    as_of = np.arange(1, len(panel.sessions) - 3)
    parts = []
    for step in range(1, horizon + 1):
        actual = sum(panel.returns[:, as_of + ahead] for ahead in range(1, step + 1))
        variance = sum(panel.sigma[:, as_of + ahead] ** 2 for ahead in range(1, step + 1))
        median = maker.copy * panel.returns[:, as_of] + maker.insight * actual
        shape = (len(panel.symbols), len(as_of))
        part = {
            "symbol": np.repeat(panel.symbols, len(as_of)),
            "as_of": np.tile(panel.sessions[as_of], len(panel.symbols)),
            "step": step,
            "strategy": maker.strategy,
            "forecaster": maker.forecaster,
            "lookback": maker.lookback,
            "target_session": np.tile(panel.sessions[as_of + step], len(panel.symbols)),
            "last_adj_close": 100.0,
            "sigma": panel.sigma[:, as_of + 1].ravel(),
            "actual": np.broadcast_to(actual, shape).ravel(),
        }
        for name, z in zip(NAMES, Z, strict=True):
            part[name] = (median + maker.width * np.sqrt(variance) * z).ravel()
            part[f"raw_{name}"] = (median + maker.raw_width * np.sqrt(variance) * z).ravel()
        if maker.refit:
            part["fold"] = np.tile((as_of - 1) // maker.refit, len(panel.symbols))
        if maker.seed is not None:
            part["seed"] = maker.seed
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def write_backtest(path: Path, panel: Panel, makers: Sequence[Maker]) -> Path:
    """Write forecasts of a panel, as `tplus backtest` writes them."""
    return write_frame(path, pd.concat([rows_of(panel, maker) for maker in makers], ignore_index=True))


def write_frame(path: Path, frame: pd.DataFrame) -> Path:
    """Write rows, with dates stored as dates."""
    shown = frame.assign(
        as_of=pd.to_datetime(frame["as_of"]).dt.date, target_session=pd.to_datetime(frame["target_session"]).dt.date
    )
    for name in ("fold", "seed"):
        if name in shown:
            shown[name] = shown[name].astype("Int64")
    pq.write_table(pa.Table.from_pandas(shown, preserve_index=False), path)
    return path


def table_of(frame: pd.DataFrame) -> ForecastTable:
    """Return rows of `rows_of` as the table that the comparison uses, without a file."""
    names = [f"{f}|{s}|{k}" for f, s, k in zip(frame["forecaster"], frame["strategy"], frame["lookback"], strict=True)]
    who, entry = np.unique(names, return_inverse=True)
    symbols, symbol = np.unique(frame["symbol"].to_numpy(str), return_inverse=True)
    parts = [name.split("|") for name in who]
    unknown = np.full(len(frame), UNKNOWN)
    return ForecastTable(
        entries=tuple(Entry(f, s, int(k)) for f, s, k in parts),
        symbols=tuple(str(name) for name in symbols),
        entry=entry,
        symbol=symbol,
        as_of=frame["as_of"].to_numpy().astype("datetime64[D]"),
        step=frame["step"].to_numpy(),
        target_session=frame["target_session"].to_numpy().astype("datetime64[D]"),
        sigma=frame["sigma"].to_numpy(float),
        actual=frame["actual"].to_numpy(float),
        quantiles=frame[list(NAMES)].to_numpy(float),
        raw=frame[[f"raw_{name}" for name in NAMES]].to_numpy(float),
        fold=frame["fold"].fillna(UNKNOWN).to_numpy(int) if "fold" in frame else unknown,
        seed=frame["seed"].fillna(UNKNOWN).to_numpy(int) if "seed" in frame else unknown,
    )


def table_from(panel: Panel, *makers: Maker) -> ForecastTable:
    """Return forecasts of a panel as a table."""
    return table_of(pd.concat([rows_of(panel, maker) for maker in makers], ignore_index=True))
