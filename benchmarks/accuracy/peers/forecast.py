"""Forecasts of the peers: neuralforecast's LSTM and statsforecast's AutoARIMA on prices from a file.

It runs in a separate environment, imports nothing of the product, and is started by `benchmarks.accuracy.peers.run`:

    python forecast.py PRICES.parquet OUT.parquet MODEL FIRST_TEST STEPS

PRICES has `symbol, row, close` (adjusted closes, rows numbered by session, oldest first). OUT has `symbol, row` (the
as_of), `step` and the seven quantiles of the log price. Every model is fitted once on the rows before FIRST_TEST.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

QUANTILES = (0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975)
HORIZON = 3
LEVELS = (50, 80, 95)
ARIMA_SESSIONS = 500
"""Sessions that AutoARIMA reads: on whole histories each forecast takes seconds."""
ARIMA = {0.025: "-lo-95", 0.10: "-lo-80", 0.25: "-lo-50", 0.50: "", 0.75: "-hi-50", 0.90: "-hi-80", 0.975: "-hi-95"}


def lstm(prices: pd.DataFrame, test_size: int, steps: int) -> pd.DataFrame:
    """Forecast with an LSTM on the log price: five sessions in, quantile loss, no exogenous input."""
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    model = LSTM(
        h=HORIZON,
        input_size=5,
        loss=MQLoss(quantiles=list(QUANTILES)),
        max_steps=steps,
        random_seed=1,
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
    )
    forecaster = NeuralForecast(models=[model], freq=1)
    found = forecaster.cross_validation(prices, n_windows=None, test_size=test_size, step_size=1, refit=False)
    columns = [name for name in found.columns if name.startswith("LSTM")]
    return _renamed(found, dict(zip(QUANTILES, _by_level(columns), strict=True)))


def auto_arima(prices: pd.DataFrame, test_size: int, steps: int) -> pd.DataFrame:  # noqa: ARG001 - one form for all
    """Forecast with AutoARIMA on each symbol's newest log prices; order and parameters are chosen once."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoARIMA

    forecaster = StatsForecast(models=[AutoARIMA(season_length=1)], freq=1, n_jobs=1)
    found = forecaster.cross_validation(
        df=prices,
        h=HORIZON,
        step_size=1,
        test_size=test_size,
        n_windows=None,
        input_size=ARIMA_SESSIONS,
        level=list(LEVELS),
        refit=False,
    )
    return _renamed(found, {level: f"AutoARIMA{suffix}" for level, suffix in ARIMA.items()})


def _by_level(columns: list[str]) -> list[str]:
    """Return the model's quantile columns, lowest first: `-lo-95.0`, ..., `-median`, ..., `-hi-95.0`."""

    def level(name: str) -> float:
        if "-lo-" in name:
            return -float(name.rsplit("-", 1)[1])
        return float(name.rsplit("-", 1)[1]) if "-hi-" in name else 0.0

    return sorted(columns, key=level)


def _renamed(found: pd.DataFrame, columns: dict[float, str]) -> pd.DataFrame:
    """Return `symbol, row, step` and one column per quantile."""
    result = pd.DataFrame(
        {
            "symbol": found["unique_id"].astype(str),
            "row": found["cutoff"].astype(int),
            "step": (found["ds"] - found["cutoff"]).astype(int),
        }
    )
    values = np.sort(found[[columns[level] for level in QUANTILES]].to_numpy(np.float64), axis=1)
    for index, level in enumerate(QUANTILES):
        result[f"q{level}"] = values[:, index]
    return result


MODELS: dict[str, Any] = {"neuralforecast_lstm": lstm, "auto_arima": auto_arima}


def main(prices_file: str, out_file: str, model: str, first_test: str, steps: str) -> None:
    """Forecast from each as_of of the test rows whose steps are all in the record."""
    table = pd.read_parquet(Path(prices_file))
    parts = []
    for _, prices in table.groupby("last_row"):  # symbols that end together are forecast together
        test_size = int(prices["row"].max()) - int(first_test) + 1
        frame = pd.DataFrame({"unique_id": prices["symbol"], "ds": prices["row"], "y": np.log(prices["close"])})
        parts.append(MODELS[model](frame, test_size, int(steps)))
    pd.concat(parts).to_parquet(Path(out_file), index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
