"""Ratios of a backtest: recursive paths next to an older commit, and the whole command next to its training.

    python -m benchmarks.speed.backtest [--quick] [--base COMMIT]

The older commit's `models` package is taken from the repository's history; both sides run in processes of their own,
forecast the same sessions in turns, and must agree within `TOLERANCE`. The default backtest (`tplus backtest` without
options, three symbols of the sample, one year) runs as a command; it reports how much of its time was training.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmarks.results import RESULTS, Ratio, publish

ROOT = Path(__file__).parents[2]
BASE = "3c4b3f492c85"
"""The last commit that computed each path as a price history of its own."""

TOLERANCE = 1e-9
"""Relative difference between the forecasts of both sides: moving sums are added in another order."""

RUNS = 5
FORECASTS = 192
BACKTEST = ("--source", "sample", "--symbols", "AAPL,IBM,MSFT", "--from", "2012-01-03", "--to", "2012-12-31")


class Side:
    """A process that forecasts with the `models` package of one checkout."""

    def __init__(self, checkout: Path) -> None:
        """Start the process.

        Args:
            checkout: Folder that contains `models`.
        """
        program = ROOT / "benchmarks" / "speed" / "recursive_paths.py"
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        self._process = subprocess.Popen(
            [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def forecast(self, network: str, count: int) -> tuple[float, np.ndarray]:
        """Return the CPU seconds of a number of forecasts, and their quantiles."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{network} {count}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return float(answer["seconds"]), np.array(answer["quantiles"])

    def end(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


@contextmanager
def sides(base: str) -> Iterator[tuple[Side, Side]]:
    """Start a process for the older commit and one for this checkout."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["git", "-C", str(ROOT), "archive", base, "models"], capture_output=True)
        if packed.returncode != 0:
            sys.exit(f"the commit {base} cannot be read: {packed.stderr.decode().strip()}; fetch the whole history")
        with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
            archive.extractall(folder, filter="data")
        both = Side(Path(folder)), Side(ROOT)
        try:
            yield both
        finally:
            for side in both:
                side.end()


def recursive_ratio(old: Side, new: Side, network: str, runs: int) -> tuple[Ratio, float]:
    """Return how much faster this checkout forecasts recursively, by CPU time, and the largest relative difference."""
    for side in (old, new):
        side.forecast(network, 2)  # imports and the fit of the pipeline are not measured
    ratios, difference = [], 0.0
    for _ in range(runs):
        (before, expected), (after, quantiles) = old.forecast(network, FORECASTS), new.forecast(network, FORECASTS)
        ratios.append(before / after)
        difference = max(difference, float((np.abs(quantiles - expected) / np.abs(expected)).max()))
    what = f"recursive paths of {network}, {FORECASTS} forecasts, CPU time: base commit / this one"
    return Ratio(f"recursive.{network}", what, tuple(ratios), low=10.0), difference


def backtest_run() -> tuple[float, float, float]:
    """Run the default backtest; return its seconds, those of its training, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = ("from service.cli import main; main()", "backtest", *BACKTEST, "--out", f"{folder}/out.parquet")
        before = _children_cpu()
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", *command, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TPLUS_DATA_DIR": folder, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        seconds = time.monotonic() - started
    return seconds, float(json.loads(done.stdout)["training_seconds"]), _children_cpu() - before


def backtest_ratio(runs: int) -> tuple[Ratio, dict[str, float | str]]:
    """Return the time of the default backtest over that of its training."""
    measured = [backtest_run() for _ in range(runs)]
    whole, training, cpu = (float(np.median(column)) for column in zip(*measured, strict=True))
    what = "default backtest of 3 symbols and a year, start to end / the training in it"
    ratio = Ratio("backtest.whole", what, tuple(seconds / inside for seconds, inside, _ in measured), high=2.0)
    return ratio, {"backtest, s": whole, "training in it, s": training, "backtest, CPU s": cpu}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all ratios and publish them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run each; writes no file")
    parser.add_argument("--base", default=BASE, metavar="COMMIT")
    options = parser.parse_args(arguments)
    runs = 1 if options.quick else RUNS
    ratios: list[Ratio] = []
    figures: dict[str, float | str] = {}
    with sides(options.base) as (old, new):
        for network in ("lstm", "linear"):
            ratio, difference = recursive_ratio(old, new, network, runs)
            if difference > TOLERANCE:
                print(f"{network}: the forecasts differ by {difference:.2g}, more than {TOLERANCE:g}", file=sys.stderr)
                return 2
            ratios.append(ratio)
            figures[f"recursive {network}, largest relative difference"] = difference
    ratio, more = backtest_ratio(runs)
    return publish("backtest", [*ratios, ratio], {**figures, **more}, None if options.quick else RESULTS)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
