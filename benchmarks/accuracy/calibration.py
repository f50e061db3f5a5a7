"""The effect of calibration: coverage and pinball before and after it, for the pooled lstm and the random walk.

Training 2000-03..2009-12 on 51 US stocks, validation 2010, calibration learns from 2011 on day by day; figures are of
2012-2016, the years on which its parameters were chosen. Later years are not read. Run from the repository's root:

    python -m benchmarks.accuracy.calibration [--prices FOLDER] [--seeds 2]

It prints one JSON document and exits with 1 if a calibrated figure is outside its bounds.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.accuracy.pooled import PRICES, REFERENCES, stocks_panel
from models.baselines import fit_random_walk, random_walk_config
from models.calibration import CalibrationRows, calibrate, joint_ratio
from models.config import ModelConfig, Strategy
from models.metrics.scoring_rules import inside, pinball, terciles
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.splits import spans_between
from models.preprocessing.windows import PooledWindows
from models.training.fit_network import fit_network
from models.training.fit_seed import EpochEnd
from models.training.holdout import BASIS_POINT, actual_returns

TRAIN = (np.datetime64("2000-03-01"), np.datetime64("2009-12-31"))
VALIDATION = (np.datetime64("2010-01-01"), np.datetime64("2010-12-31"))
LEARN = (np.datetime64("2011-01-01"), np.datetime64("2016-12-31"))
MEASURED_FROM = np.datetime64("2012-01-01")

BARS = {50: 0.015, 80: 0.015, 95: 0.010}
"""Maximum distance of a step's coverage from its level; in a volatility tercile `TERCILE_BAR`."""
TERCILE_BAR = 0.03


@dataclass(frozen=True, slots=True)
class Sample:
    """Forecasts of the measured years.

    Attributes:
        as_of: `(n,)` datetime64[D].
        sigma: `(n,)` daily volatility known at as_of.
        actual: `(n, horizon)` log returns.
        quantiles: `(n, horizon, 7)` log returns.
    """

    as_of: np.ndarray
    sigma: FloatArray
    actual: FloatArray
    quantiles: FloatArray


def figures(sample: Sample) -> dict[str, Any]:
    """Return pinball in basis points, and per level the coverage per step and its largest distance in a tercile.

    Terciles of volatility are formed twice: over the whole sample, and among the symbols of each date.
    """
    thirds = {"terciles": terciles(sample.sigma), "terciles_within_date": _within_date(sample)}
    found: dict[str, Any] = {"pinball": float(BASIS_POINT * pinball(sample.actual, sample.quantiles).mean())}
    for level in BARS:
        held = inside(sample.actual, sample.quantiles, level / 100)
        found[f"coverage_{level}"] = held.mean(axis=0).round(4).tolist()
        for name, place in thirds.items():
            shares = [held[place == third].mean(axis=0) for third in range(3)]
            found[f"{name}_{level}"] = float(np.abs(np.array(shares) - level / 100).max().round(4))
    return found


def misses(calibrated: dict[str, Any]) -> list[str]:
    """Return the names of the calibrated figures outside their bounds."""
    found = []
    for level, bar in BARS.items():
        if max(abs(share - level / 100) for share in calibrated[f"coverage_{level}"]) > bar:
            found.append(f"coverage_{level}")
        for name in ("terciles", "terciles_within_date"):
            if calibrated[f"{name}_{level}"] > TERCILE_BAR:
                found.append(f"{name}_{level}")
    return found


def measure(windows: PooledWindows, raw: FloatArray) -> dict[str, Any]:
    """Calibrate forecasts in time order and compare them with the raw ones over the measured years.

    Args:
        windows: The `n` forecast windows.
        raw: `(n, horizon, 7)` uncalibrated log returns.
    """
    actual = actual_returns(windows)
    started = perf_counter()
    rows = CalibrationRows(windows.as_of, windows.final_at, windows.target_final_at, windows.sigma, raw, actual)
    after = calibrate(rows)
    seconds = perf_counter() - started
    late = windows.as_of >= MEASURED_FROM
    columns = (windows.as_of[late], windows.sigma[late], actual[late])
    held = joint_ratio(after.quantiles, actual)[late] <= after.factors[late]
    return {
        "n": int(late.sum()),
        "raw": figures(Sample(*columns, raw[late])),
        "calibrated": figures(Sample(*columns, after.quantiles[late])),
        "joint_coverage_50_80_95": held.mean(axis=0).round(4).tolist(),
        "rows": len(raw),
        "seconds": round(seconds, 2),
    }


def main() -> int:
    """Fit, measure, print, and compare with the bounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    panel = _until(stocks_panel(arguments.prices), LEARN[1])
    config = ModelConfig("lstm", Strategy.MULTI_STEP, references=REFERENCES, seeds=tuple(range(arguments.seeds)))
    spans = spans_between(cut_windows(panel, config, require_targets=True), TRAIN, VALIDATION, LEARN)
    fitted = fit_network(panel, config, spans, _print_epoch)
    walk = fit_random_walk(panel, random_walk_config(config.strategy), spans.train_until)
    windows = fitted.windows.select(spans.test)
    found = {
        "lstm": measure(windows, fitted.forecaster.quantiles(windows)),
        "random_walk": measure(windows, walk.at(windows.sigma)),
    }
    print(json.dumps(found, indent=1))
    missed = [f"{name} {figure}" for name, results in found.items() for figure in misses(results["calibrated"])]
    print(f"outside the bounds: {', '.join(missed) or 'none'}", file=sys.stderr)
    return 1 if missed else 0


def _within_date(sample: Sample) -> np.ndarray:
    """Return the third of its date's symbols that each row's volatility is in, `(n,)`: 0, 1 or 2."""
    order = np.lexsort((sample.sigma, sample.as_of))
    _, start, count = np.unique(sample.as_of[order], return_index=True, return_counts=True)
    thirds = np.empty(len(order), np.int64)
    rank = np.arange(len(order)) - start.repeat(count)
    thirds[order] = rank * 3 // count.repeat(count)
    return thirds


def _until(panel: Panel, last: np.datetime64) -> Panel:
    """Return the panel up to a session (inclusive bound)."""

    def cut(frame: PriceHistory) -> PriceHistory:
        return frame.until(int(np.searchsorted(frame.sessions, last, side="right")))

    return Panel(tuple(map(cut, panel.histories)), {name: cut(frame) for name, frame in panel.references.items()})


def _print_epoch(epoch: EpochEnd) -> None:
    print(f"seed {epoch.seed} epoch {epoch.epoch} validation loss {epoch.val_loss:.6f}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
