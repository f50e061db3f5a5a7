"""Accuracy of the pooled lstm on 51 US stocks, compared with the random walk, on test years used last.

Training 2000-03..2014-12, validation 2015-2016, test 2017-2018. Run from the repository's root:

    python -m benchmarks.accuracy.pooled [--prices FOLDER] [--strategy multi_step] [--seeds 3]

It prints one JSON document and exits with 1 if a figure differs from its goal by more than 0.5 %.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.panel import load_panel, recorded_symbols
from models.baselines import fit_random_walk, random_walk_config
from models.config import ModelConfig, Reference, ReferenceRole, Strategy
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import DateRange, spans_between
from models.training.fit_network import fit_network
from models.training.fit_seed import EpochEnd
from models.training.train import evaluate_network

PRICES = Path(__file__).resolve().parents[3] / "shared" / "prices"
REFERENCES = (Reference("SPY", ReferenceRole.MARKET), Reference("^VIX", ReferenceRole.VOLATILITY))
TRAIN, VALIDATION, TEST = ("2000-03-01", "2014-12-31"), ("2015-01-01", "2016-12-31"), ("2017-01-01", "2018-12-31")

GOALS = {"pinball": 38.53, "random_walk_pinball": 39.11}
"""Basis points on the test years, all three steps."""

TOLERANCE = 0.005


def stocks_panel(prices: Path) -> Panel:
    """Return the 51 stocks with SPY and ^VIX.

    Args:
        prices: Folder of recorded prices.
    """
    symbols = recorded_symbols(prices / "us_stocks")
    return load_panel(prices, symbols, [reference.symbol for reference in REFERENCES])


def measure(panel: Panel, config: ModelConfig) -> dict[str, Any]:
    """Train on the training years, validate on the validation years, score the test years.

    Args:
        panel: The panel of `stocks_panel`.
        config: The config to measure.

    Returns:
        As `holdout.evaluate_forecasts`, with `val_loss` and `epochs` per seed.
    """
    windows = cut_windows(panel, config, require_targets=True)
    spans = spans_between(windows, _range(TRAIN), _range(VALIDATION), _range(TEST))
    fitted = fit_network(panel, config, spans, _print_epoch)
    walk = fit_random_walk(panel, random_walk_config(config.strategy), spans.train_until)
    return evaluate_network(fitted, fitted.windows.select(spans.test), walk)


def main() -> int:
    """Measure, print, and compare with the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--strategy", type=Strategy, default=Strategy.MULTI_STEP)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    config = ModelConfig("lstm", arguments.strategy, references=REFERENCES, seeds=tuple(range(arguments.seeds)))
    metrics = measure(stocks_panel(arguments.prices), config)
    print(json.dumps(metrics, indent=1))
    if config.strategy is not Strategy.MULTI_STEP:
        return 0
    missed = [name for name, goal in GOALS.items() if abs(metrics[name] / goal - 1) > TOLERANCE]
    print(f"outside the goals: {', '.join(missed) or 'none'}", file=sys.stderr)
    return 1 if missed else 0


def _range(dates: tuple[str, str]) -> DateRange:
    return np.datetime64(dates[0], "D"), np.datetime64(dates[1], "D")


def _print_epoch(epoch: EpochEnd) -> None:
    print(f"seed {epoch.seed} epoch {epoch.epoch} validation loss {epoch.val_loss:.6f}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
