"""Walk-forward accuracy of the tuned lstm on 51 US stocks: refitted for each year, against the random walk.

For each year Y: training from 2000-03 to September of Y-1, validation on October to December of Y-1, forecasts
of Y, each span purged by instant from the next. Raw forecasts, not calibrated. Run from the repository's root:

    python -m benchmarks.accuracy.walk_forward --years 2015 2016 [--prices FOLDER] [--seeds 5] [--lookback 5] [--core]

Choices are made on years up to 2016. 2017 and 2018 are the test years: run them once, after the choice is
committed. It prints one JSON document: one entry per year and `all` pooled. `pinned` is the random walk fitted to
the end of 2014, the same for every year; `random_walk` the one fitted on the training span of the year.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.pooled import PRICES, REFERENCES, stocks_panel
from models.baselines import fit_random_walk, random_walk_config
from models.config import MEDIAN, ModelConfig, Strategy
from models.metrics.scoring_rules import coverage_rates, pinball
from models.metrics.significance import diebold_mariano, ratio_of_sums
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import DateArray, FloatArray, Panel
from models.preprocessing.splits import DateRange, spans_between
from models.training.fit_network import fit_network
from models.training.fit_seed import EpochEnd
from models.training.holdout import BASIS_POINT, actual_returns
from models.tuned_configs import tuned

FIRST_DAY = "2000-03-01"
PINNED_UNTIL = np.datetime64("2014-12-31T23:59:59", "s")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Forecasts and outcomes of one or more years.

    Attributes:
        days: `(n,)` as_of sessions.
        actual: `(n, horizon)` cumulative log returns.
        network: `(n, horizon, 7)` the network's quantiles, log returns.
        random_walk: As `network`, fitted on the training span of the year.
        pinned: As `network`, fitted to the end of 2014.
        seeds: `(seeds, n, horizon, 7)` each seed's quantiles.
    """

    days: DateArray
    actual: FloatArray
    network: FloatArray
    random_walk: FloatArray
    pinned: FloatArray
    seeds: FloatArray


def forecast_year(panel: Panel, config: ModelConfig, year: int) -> Outcomes:
    """Fit for one year and forecast each of its windows.

    Args:
        panel: Price histories and references; may reach beyond the year.
        config: The network.
        year: Test year.
    """
    spans = spans_between(
        cut_windows(panel, config, require_targets=True),
        _range(FIRST_DAY, f"{year - 1}-09-30"),
        _range(f"{year - 1}-10-01", f"{year - 1}-12-31"),
        _range(f"{year}-01-01", f"{year}-12-31"),
    )
    fitted = fit_network(panel, config, spans, _print_epoch)
    test = fitted.windows.select(spans.test)
    seeds = np.stack(fitted.forecaster.seed_quantiles(test))
    walk_config = random_walk_config(config.strategy)
    return Outcomes(
        days=test.as_of,
        actual=actual_returns(test),
        network=seeds.mean(axis=0),
        random_walk=fit_random_walk(panel, walk_config, spans.train_until).at(test.sigma),
        pinned=fit_random_walk(panel, walk_config, PINNED_UNTIL).at(test.sigma),
        seeds=seeds,
    )


def pooled(years: list[Outcomes]) -> Outcomes:
    """Return several years as one."""
    return Outcomes(
        days=np.concatenate([year.days for year in years]),
        actual=np.concatenate([year.actual for year in years]),
        network=np.concatenate([year.network for year in years]),
        random_walk=np.concatenate([year.random_walk for year in years]),
        pinned=np.concatenate([year.pinned for year in years]),
        seeds=np.concatenate([year.seeds for year in years], axis=1),
    )


def figures(outcomes: Outcomes) -> dict[str, Any]:
    """Return the scores of the forecasts.

    Args:
        outcomes: Outcomes of one or more years.

    Returns:
        JSON-serializable: `pinball`, basis points, mean over windows, steps and quantiles, and `by_step`; `random_walk`
        and `pinned` likewise; `ratio` and `pinned_ratio` with `p` and `pinned_p` (two-sided Diebold-Mariano);
        `coverage` per nominal percent and step; `rmse_ratio` per step, the median's over the random walk's, with the
        95 % interval of the mean squared errors' ratio; `seeds`, each seed's ratio.
    """
    actual, days = outcomes.actual, outcomes.days
    loss, walk, pinned = (
        BASIS_POINT * pinball(actual, quantiles)
        for quantiles in (outcomes.network, outcomes.random_walk, outcomes.pinned)
    )
    horizon = actual.shape[1]
    rates = coverage_rates(actual, outcomes.network)
    return {
        "n": len(actual),
        "pinball": float(loss.mean()),
        "by_step": loss.mean(axis=0).tolist(),
        "random_walk": float(walk.mean()),
        "random_walk_by_step": walk.mean(axis=0).tolist(),
        "pinned": float(pinned.mean()),
        "ratio": float(loss.mean() / walk.mean()),
        "pinned_ratio": float(loss.mean() / pinned.mean()),
        "p": diebold_mariano(days, loss.mean(axis=1), walk.mean(axis=1), horizon).p,
        "pinned_p": diebold_mariano(days, loss.mean(axis=1), pinned.mean(axis=1), horizon).p,
        "coverage": {f"{round(100 * nominal)}": share.tolist() for nominal, share in rates.items()},
        "rmse_ratio": [_rmse_ratio(outcomes, step) for step in range(horizon)],
        "seeds": [float(BASIS_POINT * pinball(actual, seed).mean() / walk.mean()) for seed in outcomes.seeds],
    }


def main() -> int:
    """Fit, test and print each requested year, then all together."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, nargs="+", required=True)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lookback", type=int, default=5)
    parser.add_argument("--core", action="store_true", help="the config without tuning, for comparison")
    arguments = parser.parse_args()
    seeds = tuple(range(arguments.seeds))
    plain = ModelConfig("lstm", Strategy.MULTI_STEP, arguments.lookback, REFERENCES, seeds=seeds)
    panel = stocks_panel(arguments.prices)
    years = [forecast_year(panel, plain if arguments.core else tuned(plain), year) for year in arguments.years]
    document = {str(year): figures(outcomes) for year, outcomes in zip(arguments.years, years, strict=True)}
    print(json.dumps({**document, "all": figures(pooled(years))}, indent=1))
    return 0


def _rmse_ratio(outcomes: Outcomes, step: int) -> dict[str, float]:
    """Return the root mean squared error of the median over the random walk's, at a step."""
    errors, others = (
        (outcomes.actual[:, step] - quantiles[:, step, MEDIAN]) ** 2
        for quantiles in (outcomes.network, outcomes.random_walk)
    )
    _, position = np.unique(outcomes.days, return_inverse=True)
    own, walk = (np.bincount(position, weights=each).astype(np.float64) for each in (errors, others))
    daily = ratio_of_sums(own, walk, step + 1)
    return {
        "rmse": float(np.sqrt(daily.value)),
        "low": float(np.sqrt(max(daily.low, 0.0))),
        "high": float(np.sqrt(max(daily.high, 0.0))),
    }


def _range(first: str, last: str) -> DateRange:
    return np.datetime64(first, "D"), np.datetime64(last, "D")


def _print_epoch(epoch: EpochEnd) -> None:
    print(f"seed {epoch.seed} epoch {epoch.epoch} validation loss {epoch.val_loss:.6f}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
