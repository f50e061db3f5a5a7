"""Run peers on the windows of a backtest and write their rows in its file format, so that `tplus report` joins them.

neuralforecast's LSTM (log price, five sessions in, quantile loss, its own defaults otherwise) and statsforecast's
AutoARIMA (log price), each fitted once per fold on everything before its first as_of. They run in a separate
environment, created below `--env` from requirements.txt at first use. Run from the repository's root:

    python -m benchmarks.accuracy.peers.run --source files:../shared/prices --symbols AAPL,MSFT \\
        --from 2015-01-02 --to 2016-12-30 --refit 252 --out peers.parquet
    tplus report backtest.parquet peers.parquet

A hole is filled with the previous close, since the peers do not support holes; no forecast of such a session is kept.
Rows whose three sessions are not all in the record are left out: the peers forecast only what they can score.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from models.backtest.folds import Fold, WalkForward, union_grid, walk_forward
from models.backtest.protocols import ForecastHistory, between, build_history
from models.baselines.base import sigma_rows
from models.config import MULTI_STEP_HORIZON, QUANTILES
from models.preprocessing.price_history import FloatArray, Panel
from service.backtest.parquet import ForecasterRows, join_folds, write_rows
from service.backtest.prices import GroupPanel, fetch_all, group_panels
from service.prices.sources.registry import make_source
from service.settings import Settings

HERE = Path(__file__).resolve().parent
MODELS = ("neuralforecast_lstm", "auto_arima")


def environment(
    folder: Path,
    requirements: Path = HERE / "requirements.txt",
    imports: str = "import neuralforecast, statsforecast, pyarrow",
) -> Path:
    """Return the interpreter of the peers, installed at first use.

    Args:
        folder: Folder of the environment, created if absent.
        requirements: What is installed.
        imports: Imports that succeed if it is installed.
    """
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    probe = [str(python), "-c", imports]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], check=True)
    return python


def prices_of(panel: Panel, fold: Fold) -> pd.DataFrame:
    """Return the prices of a fold for a peer and the three sessions after it, which it needs: `symbol, row, close`.

    `row` numbers the sessions of all symbols together; `last_row` is the last one of the symbol here.
    """
    grid = union_grid(panel)
    stop = int(np.searchsorted(grid, fold.test[1])) + MULTI_STEP_HORIZON
    first_test = int(np.searchsorted(grid, fold.test[0]))
    parts = []
    for frame in panel.histories:
        rows = np.searchsorted(grid, frame.sessions)
        known = (rows <= stop) & ~np.isnan(frame.close)
        if not known.any() or rows[known].max() < first_test + MULTI_STEP_HORIZON or rows[known].min() >= first_test:
            continue
        span = np.arange(rows[known].min(), rows[known].max() + 1)
        newest = np.searchsorted(rows[known], span, side="right") - 1
        close = frame.close[known][newest]
        parts.append(pd.DataFrame({"symbol": frame.symbol, "row": span, "close": close, "last_row": span[-1]}))
    return pd.concat(parts) if parts else pd.DataFrame(columns=["symbol", "row", "close", "last_row"])


def history_from(panel: Panel, fold: Fold, found: pd.DataFrame) -> ForecastHistory:
    """Return a peer's quantiles of the log price as forecasts of the fold's rows.

    Args:
        panel: Whole price histories.
        fold: The fold.
        found: `symbol, row, step` and a column for each quantile.
    """
    rows = between(sigma_rows(panel, MULTI_STEP_HORIZON), *fold.test)
    grid = union_grid(panel)
    places = {
        (panel.histories[int(symbol)].symbol, int(row)): place
        for place, (symbol, row) in enumerate(zip(rows.symbol_index, np.searchsorted(grid, rows.as_of), strict=True))
    }
    raw = np.full((len(rows), MULTI_STEP_HORIZON, len(QUANTILES)), np.nan)
    values = found[[f"q{level}" for level in QUANTILES]].to_numpy(np.float64)
    for symbol, row, step, ladder in zip(found["symbol"], found["row"], found["step"], values, strict=True):
        place = places.get((str(symbol), int(row)))
        if place is not None:
            raw[place, int(step) - 1] = ladder
    raw -= _log_close(panel, rows.symbol_index, rows.as_of)[:, None, None]
    known = np.flatnonzero(~np.isnan(raw).any(axis=(1, 2)))
    return build_history(rows.select(known), raw[known])


def _log_close(panel: Panel, symbol_index: np.ndarray, as_of: np.ndarray) -> FloatArray:
    logs = np.empty(len(as_of))
    for index, frame in enumerate(panel.histories):
        mine = np.flatnonzero(symbol_index == index)
        logs[mine] = np.log(frame.close[np.searchsorted(frame.sessions, as_of[mine])])
    return logs


def run_model(python: Path, model: str, group: GroupPanel, folds: Sequence[Fold], steps: int) -> ForecasterRows:
    """Forecast all folds with one peer."""
    histories = []
    for fold in folds:
        with tempfile.TemporaryDirectory() as folder:
            prices, out = Path(folder) / "prices.parquet", Path(folder) / "out.parquet"
            prices_of(group.panel, fold).to_parquet(prices, index=False)
            # The first forecast of a peer is made at the row before its first test row.
            first = int(np.searchsorted(union_grid(group.panel), fold.test[0])) + 1
            words = [str(python), str(HERE / "forecast.py"), str(prices), str(out), model, str(first), str(steps)]
            subprocess.run(words, check=True, cwd=folder)
            histories.append(history_from(group.panel, fold, pd.read_parquet(out)))
        print(f"{model}: fold {fold.number} of {len(folds)} done, {len(histories[-1])} rows", file=sys.stderr)
    history, numbers = join_folds([fold.number for fold in folds], histories)
    return ForecasterRows(group, model, "multi_step", 5 if model == "neuralforecast_lstm" else 1, history, numbers)


def main() -> int:
    """Fetch prices, cut folds, forecast with each peer, write one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="sample")
    parser.add_argument("--symbols", required=True)
    parser.add_argument("--from", dest="first", required=True)
    parser.add_argument("--to", dest="last", required=True)
    parser.add_argument("--refit", type=int, default=252)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--steps", type=int, default=1500, help="training steps of the LSTM")
    parser.add_argument("--env", type=Path, default=Path("var") / "peers")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    source = make_source(arguments.source)
    record = source.record()
    if record is None:
        parser.error("the peers need a recorded source: files:DIR or sample")
    at = datetime.combine(record.last + timedelta(days=7), time(), UTC)
    fetched, missing = fetch_all(source, arguments.symbols.split(","), Settings(source="sample"), at)
    for reason in missing.values():
        print(f"left out: {reason}", file=sys.stderr)
    walk = WalkForward(np.datetime64(arguments.first, "D"), np.datetime64(arguments.last, "D"), arguments.refit)
    python = environment(arguments.env.absolute())
    rows = []
    for group in group_panels(fetched, ()):
        folds, _ = walk_forward(group.panel, walk)
        rows += [run_model(python, model, group, folds, arguments.steps) for model in arguments.models.split(",")]
    count = write_rows(arguments.out.absolute(), rows, {"peers": arguments.models, "steps": arguments.steps})
    print(f"{arguments.out}: {count} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
