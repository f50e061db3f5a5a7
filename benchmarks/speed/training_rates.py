"""Windows a second of the training of several seeds, next to PyTorch, neuralforecast and Keras `fit`.

Every side trains an LSTM of 48 units with 3 x 7 quantiles on the same windows of 51 US stocks, 2000-03 to 2014-12, in
batches of 1024; the sides take turns. Run from the repository's root:

    python -m benchmarks.speed.training_rates [--quick] [--prices FOLDER] [--env var/training-peers]

PyTorch and neuralforecast run in an environment of their own, made below `--env` at first use. Goal: at least twice the
rate of PyTorch's nn.LSTM loop, which trains the seeds one after another on two threads. The product's config for its
own 41 inputs masks references and shrinks medians, which PyTorch's loop does not do. Start-up is not in the rates; it
is printed. A validation target is the highest of the lowest losses of the sides, so that each reaches it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.accuracy.peers.run import environment
from benchmarks.accuracy.pooled import PRICES, REFERENCES, TEST, TRAIN, VALIDATION, stocks_panel
from benchmarks.results import Ratio, publish
from models.config import ModelConfig, Strategy
from models.preprocessing.pipeline import Pipeline, cut_windows
from models.preprocessing.splits import spans_between
from models.training.fit_network import masked_columns
from models.tuned_configs import tuned

SIDES = Path(__file__).parent / "training_sides"
BATCH, GOAL = 1024, 2.0
SEEDS = (3, 8)
MEMORY_GOAL = 1.25
"""Windows that are copied would take four times the memory of the data at a lookback of 20."""
TORCH_SEEDS = 2
"""Seeds of a run of PyTorch: it trains them one after another, so its rate does not depend on their number."""
BACKENDS = ("tensorflow", "jax")


def write_windows(folder: Path, prices: Path, quick: bool) -> tuple[int, int]:
    """Write the windows of the service's own inputs as arrays that all sides read.

    Returns:
        Number of training windows and of inputs.
    """
    config = tuned(ModelConfig("lstm", Strategy.MULTI_STEP, references=REFERENCES))
    panel = stocks_panel(prices)
    train, validation, test = (
        (np.datetime64(first, "D"), np.datetime64(last, "D")) for first, last in (TRAIN, VALIDATION, TEST)
    )
    spans = spans_between(cut_windows(panel, config, require_targets=True), train, validation, test)
    pipeline, windows = Pipeline.fit_windows(panel, config, spans.train_until, require_targets=True)
    np.save(folder / "inputs.npy", windows.inputs)
    np.save(folder / "masked_columns.npy", masked_columns(pipeline))
    (folder / "facts.json").write_text(json.dumps({"newest_only": list(windows.newest_only)}))
    count = 0
    for name, span in (("validation", spans.validation), ("train", spans.train)):
        chosen = np.flatnonzero(span)[:: 8 if quick else 1]
        count = len(chosen)
        np.save(folder / f"{name}_ends.npy", windows.ends[chosen])
        np.save(folder / f"{name}_targets.npy", windows.targets[chosen])
    return count, windows.inputs.shape[1]


@dataclass
class Side:
    """A program that trains on request and waits in between.

    A request names `features`, `seeds`, `epochs`, `windows` (in all) and `curve`. Its answer has the `seconds` of the
    training, or with `curve` the seconds and validation loss after each epoch of the one seed `seeds`.
    """

    name: str
    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 1

    def __post_init__(self) -> None:
        """Start the program."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **self.variables},
        )

    def ask(self, windows: int, features: int, seeds: int, epochs: int, curve: bool = False) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        total = windows // BATCH * BATCH * epochs * seeds
        request = {"features": features, "seeds": seeds, "epochs": epochs, "windows": total, "curve": curve}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with exit status {self.process.wait()}; see its output above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def rate(self, windows: int, features: int, seeds: int, epochs: int) -> float:
        """Return windows a second."""
        seconds = float(self.ask(windows, features, seeds, epochs)["seconds"])
        return windows // BATCH * BATCH * epochs * seeds / seconds

    def close(self) -> None:
        """End the program."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Sizes:
    """What is measured: windows, inputs, epochs a run, runs, epochs of a loss curve."""

    windows: int
    features: tuple[int, ...]
    epochs: int
    runs: int
    curve_epochs: int


def start_up(sides: Sequence[Side], sizes: Sizes) -> dict[str, float]:
    """Let every product side import, compile and start its processes once; return the seconds by side and size."""
    figures: dict[str, float] = {}
    for side in sides:
        for features in sizes.features:
            begun = perf_counter()
            side.ask(sizes.windows, features, side.seeds, sizes.epochs)  # another config would compile again
            figures[f"first {sizes.epochs} epochs, {side.name}, {features} inputs, {side.seeds} seeds, s"] = (
                perf_counter() - begun
            )
    return figures


def measure_rates(torch: Side, sides: Sequence[Side], sizes: Sizes) -> tuple[list[Ratio], dict[str, float]]:
    """Return the product's rates as ratios to PyTorch's of the same turn, and the rates themselves."""
    runs: dict[tuple[str, int, int], list[float]] = {}
    rates: dict[str, list[float]] = {}
    for features in sizes.features:
        torch.ask(sizes.windows, features, 1, 1)
        for _ in range(sizes.runs):
            peer = torch.rate(sizes.windows, features, TORCH_SEEDS, sizes.epochs)
            rates.setdefault(f"nn.LSTM loop, {features} inputs", []).append(peer)
            for side in sides:
                rate = side.rate(sizes.windows, features, side.seeds, sizes.epochs)
                runs.setdefault((side.name, features, side.seeds), []).append(rate / peer)
                rates.setdefault(f"{side.name}, {features} inputs, {side.seeds} seeds", []).append(rate)
    ratios = [
        Ratio(
            f"training.{name}.{features}_inputs.{seeds}_seeds",
            f"{seeds} seeds on {name} / PyTorch's nn.LSTM loop, {features} inputs, windows a second",
            tuple(values),
            low=GOAL,
        )
        for (name, features, seeds), values in runs.items()
    ]
    return ratios, {f"{name}, windows/s": median(values) for name, values in rates.items()}


def measure_losses(sides: Sequence[Side], sizes: Sizes) -> dict[str, float | str]:
    """Return the median seconds of one seed to a validation loss that all sides reach, 14 inputs."""
    figures: dict[str, float | str] = {}
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    for seed in range(3):
        curves = {
            side.name: side.ask(sizes.windows, sizes.features[0], seed, sizes.curve_epochs, True)["curve"]
            for side in sides
        }
        target = max(min(loss for _, loss in curve) for curve in curves.values())
        for name, curve in curves.items():
            seconds[name].append(next(at for at, loss in curve if loss <= target))
    for name, values in seconds.items():
        spread = f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
        figures[f"seconds to the common validation loss, one seed, {name}"] = spread
    return figures


def measure_memory() -> tuple[list[Ratio], dict[str, float]]:
    """Return the peak memory of a training at a lookback of 20 as a ratio to that at 5, on equal bars."""
    ratios, figures = [], {}
    for backend in BACKENDS:
        peaks = {}
        for lookback in (5, 20):
            words = [sys.executable, "-m", "benchmarks.speed.training_sides.memory", str(lookback)]
            variables = {**os.environ, "KERAS_BACKEND": backend}
            done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env=variables)
            peaks[lookback] = float(done.stdout)
            figures[f"peak memory, {backend}, a million bars, lookback {lookback}, MB"] = peaks[lookback] / 1e6
        what = f"peak memory of a training on {backend}, lookback 20 / lookback 5, a million bars"
        ratios.append(Ratio(f"training.{backend}.memory", what, (peaks[20] / peaks[5],), high=MEMORY_GOAL))
    return ratios, figures


def main() -> int:
    """Start the sides, measure in turns, publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--env", type=Path, default=Path("var") / "training-peers")
    parser.add_argument("--quick", action="store_true", help="an eighth of the windows, one run")
    arguments = parser.parse_args()
    peer_python = str(environment(arguments.env.absolute(), SIDES / "requirements.txt", "import neuralforecast, torch"))
    with tempfile.TemporaryDirectory() as folder:
        windows, features = write_windows(Path(folder), arguments.prices, arguments.quick)
        runs, epochs = (1, 1) if arguments.quick else (5, 2)
        sizes = Sizes(windows, (14, features), epochs, runs, 2 if arguments.quick else 8)
        torch = Side("nn.LSTM loop", [peer_python, str(SIDES / "torch_lstm.py"), folder])
        own = [sys.executable, "-m", "benchmarks.speed.training_sides.product", folder]
        sides = [Side(name, own, {"KERAS_BACKEND": name}, seeds) for name in BACKENDS for seeds in SEEDS]
        peers = [
            Side("Keras fit, TensorFlow, batch 1024", [own[0], own[1], own[2].replace("product", "keras_fit"), folder]),
            Side("neuralforecast LSTM, 8 series a batch", [peer_python, str(SIDES / "neuralforecast_lstm.py"), folder]),
        ]
        try:
            figures: dict[str, float | str] = {"training windows": float(windows), **start_up(sides, sizes)}
            ratios, rates = measure_rates(torch, sides, sizes)
            figures |= rates
            for peer in peers:
                figures[f"{peer.name}, 14 inputs, windows/s"] = peer.rate(windows, 14, 1, epochs)
            figures |= measure_losses([torch, *(side for side in sides if side.seeds == SEEDS[0])], sizes)
        finally:
            for side in (torch, *sides, *peers):
                side.close()
    memory, peaks = measure_memory()
    return publish("training_rates", ratios + memory, figures | peaks)


if __name__ == "__main__":
    sys.exit(main())
