"""Forecast with the recursive strategy on request: one side of the ratio of `benchmarks.speed.backtest`.

    python benchmarks/speed/recursive_paths.py

Runs as a program of its own with a checkout on PYTHONPATH, whose `models` it measures; it imports nothing else of the
repository. For each line `NETWORK FORECASTS` on standard input it prints one JSON document: the CPU seconds, and the
quantiles, so that two checkouts can be compared.
"""

import json
import sys
import time
from functools import cache

import numpy as np

from models.backtest.recursive import RecursiveForecaster
from models.config import ModelConfig, Reference, ReferenceRole, Strategy
from models.forecasting.network_forecaster import NetworkForecaster
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel, PriceHistory
from models.tuned_configs import tuned

SESSIONS = 900
REFERENCES = (Reference("SPY", ReferenceRole.MARKET), Reference("^VIX", ReferenceRole.VOLATILITY))


def history(symbol: str, seed: int) -> PriceHistory:
    """Return a random walk of `SESSIONS` weekdays."""
    random = np.random.default_rng(seed)
    days = np.busday_offset("2000-01-03", np.arange(SESSIONS), roll="forward").astype("datetime64[D]")
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, SESSIONS)))
    opened = close * np.exp(random.normal(0, 0.01, SESSIONS))
    high, low = np.maximum(opened, close) * 1.01, np.minimum(opened, close) * 0.99
    final_at = (days.astype("datetime64[s]") + np.timedelta64(22, "h")).astype("datetime64[s]")
    volume = np.exp(random.normal(14, 0.4, SESSIONS))
    return PriceHistory(symbol, "equity", "XNYS", days, final_at, opened, high, low, close, volume)


@cache
def forecaster(network: str) -> tuple[RecursiveForecaster, Panel]:
    """Return a recursive forecaster in its tuned configuration with random weights, and its panel.

    Its speed does not depend on what the weights are.
    """
    panel = Panel(
        tuple(history(symbol, seed) for seed, symbol in enumerate(("AAA", "BBB", "CCC"))),
        {reference.symbol: history(reference.symbol, 100 + seed) for seed, reference in enumerate(REFERENCES)},
    )
    config = tuned(ModelConfig(network, Strategy.ONE_STEP, references=REFERENCES))
    pipeline = Pipeline.fit(panel, config, panel.histories[0].final_at[600])
    features, units = len(pipeline.feature_names), config.units
    shapes: dict[str, tuple[int, ...]] = {"head_kernel": (features * config.lookback, 7), "head_bias": (7,)}
    if network == "lstm":
        shapes = {
            "kernel": (features, 4 * units),
            "recurrent": (units, 4 * units),
            "bias": (4 * units,),
            "head_kernel": (units, 7),
            "head_bias": (7,),
        }
    weights = {
        seed: {
            name: np.random.default_rng([seed, place]).normal(0, 0.1, shape).astype(np.float32)
            for place, (name, shape) in enumerate(shapes.items())
        }
        for seed in config.seeds
    }
    return RecursiveForecaster(NetworkForecaster(config, pipeline, weights)), panel


def measure(network: str, count: int) -> dict[str, object]:
    """Forecast a number of as_of sessions and return the CPU seconds and the quantiles."""
    recursive, panel = forecaster(network)
    windows = recursive.one_step.pipeline.windows(panel, require_targets=False, min_bars=250)
    windows = windows.select(np.linspace(0, len(windows) - 1, count).astype(np.int64))
    started = time.process_time()
    quantiles = recursive.quantiles(panel, windows)
    return {"seconds": time.process_time() - started, "quantiles": quantiles.ravel().tolist()}


def main() -> None:
    """Answer each line of standard input."""
    for line in sys.stdin:
        network, count = line.split()
        print(json.dumps(measure(network, int(count))), flush=True)


if __name__ == "__main__":
    main()
