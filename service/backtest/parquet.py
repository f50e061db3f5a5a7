"""The backtest's file: one row per symbol, as_of, step, strategy, forecaster and lookback, in one Parquet file.

Columns: `symbol, as_of, step, strategy, forecaster, lookback, target_session, last_adj_close, sigma`, the served
quantiles `q025 q10 q25 q50 q75 q90 q975` and the uncalibrated `raw_q025 ...`, `actual`, all log returns; then
`fold`, the number of the fit of the row, and `seed`, null for the forecast that would be served and otherwise the
single seed of the row. The request, the folds, and what could not be done are in the file's metadata as JSON.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from models.backtest.protocols import ForecastHistory
from models.calibration import CalibrationRows, CalibrationState, calibrate_rows
from models.preprocessing.price_history import DateArray, FloatArray
from service.backtest.columns import METADATA_KEY, QUANTILE_COLUMNS, RAW_COLUMNS
from service.backtest.prices import GroupPanel

FoldNumbers = np.ndarray[tuple[int], np.dtype[np.int64]]
"""Number of the fold of each row."""

_FLOATS = (*QUANTILE_COLUMNS, *RAW_COLUMNS, "actual")

SCHEMA = pa.schema(
    [
        pa.field("symbol", pa.string()),
        pa.field("as_of", pa.date32()),
        pa.field("step", pa.int8()),
        pa.field("strategy", pa.string()),
        pa.field("forecaster", pa.string()),
        pa.field("lookback", pa.int16()),
        pa.field("target_session", pa.date32()),
        pa.field("last_adj_close", pa.float64()),
        pa.field("sigma", pa.float64()),
        *(pa.field(name, pa.float64()) for name in _FLOATS),
        pa.field("fold", pa.int32()),
        pa.field("seed", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class ForecasterRows:
    """All forecasts of one forecaster in one group, all folds.

    Attributes:
        group: The group's panel.
        forecaster: Name in the output.
        strategy: `one_step`, `multi_step` or `recursive`.
        lookback: Sessions in a window.
        history: Its forecasts, the folds in order.
        fold: `(n,)` number of the fit of each row.
        initial: Calibration state before the first row; None if there is none.
    """

    group: GroupPanel
    forecaster: str
    strategy: str
    lookback: int
    history: ForecastHistory
    fold: FoldNumbers
    initial: CalibrationState | None = None


def join_folds(numbers: Sequence[int], histories: Sequence[ForecastHistory]) -> tuple[ForecastHistory, FoldNumbers]:
    """Return the histories of several folds as one, with the fold of each row.

    Args:
        numbers: Number of each fold.
        histories: History of each fold; seeds that all of them have are kept.
    """
    shared = set.intersection(*(set(history.seeds) for history in histories))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(history, name) for history in histories])
        for name in ("symbol_index", "as_of", "final_at", "target_final_at", "sigma", "raw", "actual")
    }
    seeds = {seed: np.concatenate([history.seeds[seed] for history in histories]) for seed in sorted(shared)}
    fold = np.repeat(np.array(numbers, dtype=np.int64), [len(history) for history in histories])
    return ForecastHistory(**columns, seeds=seeds), fold


def write_rows(path: Path, parts: Iterable[ForecasterRows], document: Mapping[str, Any]) -> int:
    """Write the file atomically: its name exists only after all of it is on disk.

    Args:
        path: File to create or replace; its folder must exist.
        parts: Rows of each forecaster, written in this order.
        document: JSON-serializable, for the file's metadata.

    Returns:
        The number of rows written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    schema = SCHEMA.with_metadata({METADATA_KEY: json.dumps(document, sort_keys=True).encode()})
    count = 0
    try:
        with pa_parquet.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for part in parts:
                for table in _tables(part):
                    writer.write_table(table.cast(schema))
                    count += table.num_rows
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def calibrated(part: ForecasterRows, raw: FloatArray) -> FloatArray:
    """Return quantiles calibrated in time order, calendar by calendar.

    Args:
        part: Rows of one forecaster.
        raw: `(n, horizon, 7)`: the quantiles to be served, or those of one seed.
    """
    history = part.history
    calendars = np.array([prices.calendar for prices in part.group.panel.histories])[history.symbol_index]
    result = np.empty_like(raw)
    for calendar in np.unique(calendars):
        rows = np.flatnonzero(calendars == calendar)
        rows = rows[np.argsort(history.final_at[rows], kind="stable")]
        result[rows] = calibrate_rows(
            CalibrationRows(
                as_of=history.as_of[rows],
                final_at=history.final_at[rows],
                target_final_at=history.target_final_at[rows],
                sigma=history.sigma[rows],
                raw=raw[rows],
                actual=history.actual[rows],
                initial=part.initial,
            )
        )
    return result


def _tables(part: ForecasterRows) -> Iterable[pa.Table]:
    """Yield a table of the forecasts that would be served, and one for each seed."""
    yield _table(part, part.history.raw, None)
    for seed, raw in part.history.seeds.items():
        yield _table(part, raw, seed)


def _table(part: ForecasterRows, raw: FloatArray, seed: int | None) -> pa.Table:
    history = part.history
    n, horizon = history.actual.shape
    quantiles = calibrated(part, raw)
    symbols = np.array([prices.symbol for prices in part.group.panel.histories])[history.symbol_index]
    close, targets = _closes_and_targets(part, horizon)
    columns: dict[str, Any] = {
        "symbol": np.repeat(symbols, horizon),
        "as_of": np.repeat(history.as_of, horizon),
        "step": np.tile(np.arange(1, horizon + 1), n),
        "strategy": pa.array([part.strategy] * (n * horizon)),
        "forecaster": pa.array([part.forecaster] * (n * horizon)),
        "lookback": np.full(n * horizon, part.lookback),
        "target_session": targets.reshape(-1),
        "last_adj_close": np.repeat(close, horizon),
        "sigma": np.repeat(history.sigma, horizon),
    }
    for level, (name, raw_name) in enumerate(zip(QUANTILE_COLUMNS, RAW_COLUMNS, strict=True)):
        columns[name] = quantiles[:, :, level].reshape(-1)
        columns[raw_name] = raw[:, :, level].reshape(-1)
    actual = history.actual.reshape(-1)
    columns["actual"] = pa.array(actual, mask=np.isnan(actual))
    columns["fold"] = np.repeat(part.fold, horizon)
    columns["seed"] = pa.array([seed] * (n * horizon), pa.int32())
    return pa.table({name: columns[name] for name in SCHEMA.names})


def _closes_and_targets(part: ForecasterRows, horizon: int) -> tuple[FloatArray, DateArray]:
    """Return the `(n,)` adjusted close at as_of, adjusted as of the last bar, and `(n, horizon)` target sessions."""
    history = part.history
    close = np.empty(len(history))
    targets = np.empty((len(history), horizon), dtype="datetime64[D]")
    for index, prices in enumerate(part.group.panel.histories):
        positions = np.flatnonzero(history.symbol_index == index)
        rows = np.searchsorted(prices.sessions, history.as_of[positions])
        days = np.concatenate([prices.sessions, part.group.following[prices.symbol]])
        close[positions] = prices.close[rows]
        targets[positions] = days[rows[:, None] + np.arange(1, horizon + 1)]
    return close, targets
