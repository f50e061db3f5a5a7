"""Read the files of a backtest as one table of forecasts; all errors about a file are raised here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.backtest.forecast_table import UNKNOWN, Entry, ForecastTable
from models.preprocessing.price_history import DateArray, FloatArray
from models.preprocessing.windows import IntArray
from service.backtest.columns import METADATA_KEY, QUANTILE_COLUMNS, RAW_COLUMNS
from service.errors import TplusError

REQUIRED = (
    "symbol",
    "as_of",
    "step",
    "strategy",
    "forecaster",
    "target_session",
    "sigma",
    *QUANTILE_COLUMNS,
    "actual",
)
"""Columns that a file must have."""

OPTIONAL = (*RAW_COLUMNS, "lookback", "fold", "fitted_until", "seed")
"""Columns that add to the report; a file may lack any of them, the raw ones only together."""


class ReportError(TplusError):
    """A file cannot be used for a report; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of the files.

    Attributes:
        table: All rows.
        has_raw: Whether the files have quantiles before calibration.
        has_folds: Whether the files have `fold` or `fitted_until`.
        has_seeds: Whether the files have rows of single seeds.
        notices: Notes of the backtest on what it left out, from the metadata of the files.
    """

    table: ForecastTable
    has_raw: bool
    has_folds: bool
    has_seeds: bool
    notices: tuple[str, ...] = ()


def read_files(paths: Sequence[Path], only: Sequence[str] = ()) -> Contents:
    """Read one file, or several whose rows are joined.

    Args:
        paths: Parquet files as `tplus backtest` writes them.
        only: Names of the forecasters to read; none = all.

    Raises:
        ReportError: A file is absent, is not Parquet, lacks columns, has columns of other types than numbers, dates
            and text, steps outside 1..9, or no row.
    """
    joined = pa.concat_tables([_read(path) for path in paths], promote_options="default")
    notices = [sentence for path in paths for sentence in _notices(path)]
    if only:
        joined = joined.filter(pc.is_in(joined["forecaster"], pa.array(list(only), pa.string())))
    names = ", ".join(str(path) for path in paths)
    if joined.num_rows == 0:
        selection = f" of {', '.join(only)}" if only else ""
        raise ReportError(f"{names} has no row{selection}; see the notes of `tplus backtest` when it wrote the file")
    return replace(_contents(joined), notices=tuple(dict.fromkeys(notices)))


def _read(path: Path) -> pa.Table:
    if not path.is_file():
        raise ReportError(f"there is no file {path}; use one that `tplus backtest --out` wrote")
    try:
        columns = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise ReportError(f"{path} cannot be read as Parquet: {error}; use one that `tplus backtest` wrote") from error
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise ReportError(f"{path} lacks the columns {', '.join(missing)}; use one that `tplus backtest` wrote")
    try:
        table = pq.read_table(path, columns=[name for name in (*REQUIRED, *OPTIONAL) if name in columns])
        return pa.table({name: _typed(name, table[name]) for name in table.column_names})
    except (pa.ArrowException, OSError) as error:
        raise ReportError(f"{path} cannot be read: {error}; write it again with `tplus backtest`") from error


def _notices(path: Path) -> list[str]:
    """Return the notes of the backtest that wrote a file; empty for other files."""
    try:
        document = json.loads((pq.read_schema(path).metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        return []
    notes = document.get("notes", []) if isinstance(document, dict) else []
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


def _typed(name: str, column: Any) -> Any:
    """Return a column in the type that it has in the table; text for columns that only identify rows."""
    if name in ("as_of", "target_session", "fitted_until"):
        return column.cast(pa.date32(), safe=False)
    if name in ("symbol", "strategy", "forecaster", "fold"):
        return column.cast(pa.string())
    if name in ("step", "lookback", "seed"):
        return column.cast(pa.int64())
    return column.cast(pa.float64())


def _contents(joined: pa.Table) -> Contents:
    for name in ("symbol", "as_of", "step", "strategy", "forecaster"):
        if joined[name].null_count:
            raise ReportError(
                f"{joined[name].null_count} rows have no {name}; write the file again with `tplus backtest`"
            )
    steps = joined["step"].to_numpy().astype(np.int64)
    if steps.min() < 1 or steps.max() > 9:
        raise ReportError(
            f"steps are from {steps.min()} to {steps.max()}, they must be in 1..9; "
            "use a file that `tplus backtest` wrote"
        )
    symbols, symbol = _codes(joined["symbol"])
    forecasters, forecaster = _codes(joined["forecaster"])
    strategies, strategy = _codes(joined["strategy"])
    lookback = _integers(joined, "lookback", 0)
    distinct, entry = _distinct_columns(np.stack([forecaster, strategy, lookback]))
    fold = _folds(joined)
    seed = _integers(joined, "seed", UNKNOWN)
    has_raw = all(name in joined.column_names for name in RAW_COLUMNS)
    quantiles = _matrix(joined, QUANTILE_COLUMNS)
    table = ForecastTable(
        entries=tuple(Entry(forecasters[f], strategies[s], int(days)) for f, s, days in distinct.T.tolist()),
        symbols=symbols,
        entry=entry,
        symbol=symbol,
        as_of=_dates(joined["as_of"]),
        step=steps,
        target_session=_dates(joined["target_session"]),
        sigma=_floats(joined["sigma"]),
        actual=_floats(joined["actual"]),
        quantiles=quantiles,
        raw=_matrix(joined, RAW_COLUMNS) if has_raw else np.full_like(quantiles, np.nan),
        fold=fold,
        seed=seed,
    )
    return Contents(table, has_raw, bool((fold != UNKNOWN).any()), bool((seed != UNKNOWN).any()))


def _distinct_columns(columns: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct columns of a matrix of small numbers, and the position of each column among them."""
    width = columns.max() + 2
    code = (columns[0] * width + columns[1]) * width + columns[2]
    _, first, position = np.unique(code, return_index=True, return_inverse=True)
    return columns[:, first], position.astype(np.int64)


def _folds(joined: pa.Table) -> IntArray:
    """Return the fit of each row: the column `fold`, otherwise one number per `fitted_until`."""
    for name in ("fold", "fitted_until"):
        if name in joined.column_names:
            return _codes(joined[name])[1]
    return np.full(joined.num_rows, UNKNOWN, dtype=np.int64)


def _codes(column: Any) -> tuple[tuple[str, ...], IntArray]:
    encoded = column.combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = pc.fill_null(encoded.indices, UNKNOWN).to_numpy(zero_copy_only=False).astype(np.int64)
    return tuple(str(value) for value in encoded.dictionary.to_pylist()), codes


def _integers(joined: pa.Table, name: str, absent: int) -> IntArray:
    if name not in joined.column_names:
        return np.full(joined.num_rows, absent, dtype=np.int64)
    values: IntArray = pc.fill_null(joined[name], absent).to_numpy().astype(np.int64)
    return values


def _dates(column: Any) -> DateArray:
    days: DateArray = column.to_numpy().astype("datetime64[D]")
    return days


def _floats(column: Any) -> FloatArray:
    values: FloatArray = pc.fill_null(column, float("nan")).to_numpy().astype(np.float64)
    return values


def _matrix(joined: pa.Table, names: Sequence[str]) -> FloatArray:
    return np.column_stack([_floats(joined[name]) for name in names])
