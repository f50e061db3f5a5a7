"""Training of the network `lstm` on this machine's GPU: checked against the CPU, next to PyTorch, next to the bounds.

It needs Python, NumPy, JAX, PyTorch and Keras, and nothing else of the product's requirements. Run from the root:

    KERAS_BACKEND=jax python -m benchmarks.gpu [--windows 186495] [--features 14] [--runs 5]

It prints windows a second of one seed and of 16 seeds that are trained as one batched network, of PyTorch's nn.LSTM
loop (cuDNN, fused Adam) on the same device, and the rates that the device's own matrix product and copy would permit.
On a machine without a GPU it runs on the CPU and says so. It exits with 1 if the device's result is not the CPU's.
"""

import argparse
import os
import sys
from statistics import median
from time import perf_counter
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.training_sides import torch_lstm
from models.config import ModelConfig, Strategy, Weighting
from models.networks.lstm_numpy import Weights, forward_lstm
from models.preprocessing.windows import TrainingWindows
from models.training.seeds.jax_loop import JaxLoop

LOOKBACK, UNITS, BATCH, HORIZON, LEVELS = 5, 48, 1024, 3, 7
MANY = 16
"""Seeds of the batched network."""

CHECKED_WINDOWS = 20 * BATCH
TOLERANCE = 2e-3
"""Largest relative difference of the loss after an epoch: a GPU multiplies with fewer bits (TF32) than a CPU."""

SERVED_TOLERANCE = 1e-3
"""Largest relative difference between the loss on the device and that of the NumPy forecasts of its weights."""

GOAL_RATIO = 2.0
"""Goal: 16 seeds take at most this many times the time of one."""


def random_windows(count: int, features: int, seed: int) -> TrainingWindows:
    """Return windows over random inputs, whose targets depend on the newest inputs."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(count + LOOKBACK - 1, features)).astype(np.float32)
    ends = np.arange(count) + LOOKBACK - 1
    targets = 0.2 * inputs[ends, :HORIZON] + draw.normal(size=(count, HORIZON))
    return TrainingWindows(inputs, ends, LOOKBACK, np.ones(count), targets)


def config() -> ModelConfig:
    """Return the reference config."""
    return ModelConfig(
        "lstm", Strategy.MULTI_STEP, weighting=Weighting.EVEN, batch_size=BATCH, learning_rate=1e-3, mask_rate=0.0
    )


def loop_on(device: Any, windows: TrainingWindows, width: int) -> JaxLoop:
    """Return a loop whose data and networks are on a device."""
    with jax.default_device(device):
        return JaxLoop(config(), windows, np.zeros((0, windows.inputs.shape[1]), np.float32), width)


def trained_on(device: Any, features: int, start: Weights | None) -> tuple[float, Weights]:
    """Train an epoch; return the loss on other windows and the weights."""
    loop = loop_on(device, random_windows(CHECKED_WINDOWS, features, 0), 1)
    with jax.default_device(device):
        loop.restart(0, start)
        loop.epoch(0, 1)
        return loop.loss_on(random_windows(2048, features, 1))(), loop.weights()


def served_loss(weights: Weights, features: int) -> float:
    """Return the loss of the NumPy forecasts that a CPU serves from trained weights."""
    windows = random_windows(2048, features, 1)
    offsets = np.arange(LOOKBACK - 1, -1, -1)
    quantiles = forward_lstm(weights, windows.inputs[windows.ends[:, None] - offsets])
    levels, errors = np.array(torch_lstm.LEVELS), windows.targets[..., None] - quantiles
    return float(np.maximum(levels * errors, (levels - 1) * errors).mean())


def check(device: Any, features: int) -> bool:
    """Print and return whether an epoch on the device, and its served forecasts, equal those of the CPU."""
    cpu = jax.devices("cpu")[0]
    _, start = trained_on(cpu, features, None)
    expected, on_cpu = trained_on(cpu, features, start)
    found, on_device = trained_on(device, features, start)
    served = served_loss(on_device, features)
    moved = max(float(np.abs(on_device[name] - on_cpu[name]).max()) for name in on_cpu)
    near = abs(found / expected - 1) <= TOLERANCE and abs(served / found - 1) <= SERVED_TOLERANCE
    print(f"loss after an epoch: device {found:.6f}, CPU {expected:.6f} (tolerance {TOLERANCE:g} of it)")
    print(f"largest difference of a weight: {moved:.2g}")
    print(f"loss of the NumPy forecasts of the device's weights: {served:.6f} (tolerance {SERVED_TOLERANCE:g} of it)")
    return near


def product_seconds(device: Any, windows: TrainingWindows, width: int, runs: int) -> list[float]:
    """Return the seconds of epochs of `width` seeds, after one that compiles."""
    loop, seconds = loop_on(device, windows, width), []
    with jax.default_device(device):
        loop.restart_all(range(width))
        for number in range(runs + 1):
            begun = perf_counter()
            loop.epoch_all(number + 1)
            seconds.append(perf_counter() - begun)
    return seconds[1:]


def torch_seconds(windows: TrainingWindows, runs: int, gpu: bool) -> list[float]:
    """Return the seconds of epochs of PyTorch's loop on the same kind of device."""
    import torch

    device = torch.device("cuda" if gpu else "cpu")
    kinds = {"inputs": torch.float32, "train_ends": torch.int64, "train_targets": torch.float32}
    arrays = {"inputs": windows.inputs, "train_ends": windows.ends, "train_targets": windows.targets}
    data = {name: torch.tensor(array, dtype=kinds[name], device=device) for name, array in arrays.items()}
    ended = [at for at, _ in torch_lstm.train(data, 0, runs + 1, False)]
    return list(np.diff(ended))


def bounds(device: Any, features: int) -> dict[str, float]:
    """Return windows a second that the device's own matrix product and copy would permit.

    Work of a window: the products of the recurrent layer and the head, forward and twice backward. Bytes of a window:
    its inputs, targets and order read once, and a step's parameters and Adam's moments read and written once.
    """
    products = LOOKBACK * (features + UNITS) * 4 * UNITS + UNITS * HORIZON * LEVELS
    parameters = (features + UNITS + 1) * 4 * UNITS + (UNITS + 1) * HORIZON * LEVELS
    bytes_of_window = 4 * (LOOKBACK * features + HORIZON + 3) + 4 * 7 * parameters / BATCH
    size = 4096 if device.platform != "cpu" else 1024
    matrix = jax.device_put(jnp.ones((size, size), jnp.float32), device)
    block = jax.device_put(jnp.ones(64 * 2**20 // 4, jnp.float32), device)
    flops = 2 * size**3 / best_seconds(jax.jit(lambda x: x @ x), matrix)
    copied = 2 * block.nbytes / best_seconds(jax.jit(lambda x: x + 1), block)
    print(f"the device's matrix product: {flops / 1e12:.2f} TFLOP/s; its copy: {copied / 1e9:.0f} GB/s")
    return {"FLOPs": flops / (3 * 2 * products), "bytes": copied / bytes_of_window}


def best_seconds(compiled: Any, argument: Any) -> float:
    """Return the shortest of ten calls."""
    seconds = []
    for _ in range(11):
        begun = perf_counter()
        jax.block_until_ready(compiled(argument))  # type: ignore[no-untyped-call]
        seconds.append(perf_counter() - begun)
    return min(seconds[1:])


def main() -> int:
    """Check, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=186_495)
    parser.add_argument("--features", type=int, default=14)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    import keras

    if keras.backend.backend() != "jax":
        print("set KERAS_BACKEND=jax: this benchmark trains on JAX", file=sys.stderr)
        return 2
    device = jax.devices()[0]
    gpu = device.platform != "cpu"
    print(f"device: {device.device_kind}; JAX {jax.__version__}, Keras {keras.__version__}")
    if not gpu:
        print("NOTE: JAX finds no GPU here. Everything below ran on the CPU and says nothing about a GPU.")
    is_same = check(device, arguments.features)
    windows = random_windows(arguments.windows, arguments.features, 2)
    trained = arguments.windows // BATCH * BATCH
    limits = bounds(device, arguments.features)
    one = product_seconds(device, windows, 1, arguments.runs)
    many = product_seconds(device, windows, MANY, arguments.runs)
    torch = torch_seconds(windows, arguments.runs, gpu)
    for name, seconds, seeds in (("1 seed", one, 1), (f"{MANY} seeds", many, MANY), ("PyTorch nn.LSTM", torch, 1)):
        rates = [seeds * trained / value / 1e6 for value in seconds]
        shares = ", ".join(f"{1e6 * median(rates) / limit:.1%} of the bound by {by}" for by, limit in limits.items())
        spread = f"({min(rates):.3f}-{max(rates):.3f}, {len(rates)})"
        print(f"{name}: {median(rates):.3f} {spread} million windows/s; {shares}")
    print(f"1 seed / PyTorch: {median(torch) / median(one):.2f} (goal on a GPU: at least 1)")
    print(f"{MANY} seeds / 1 seed, time: {median(many) / median(one):.2f} (goal on a GPU: at most {GOAL_RATIO:g})")
    print("the device's result is the CPU's" if is_same else "FAILED: the device's result is not the CPU's")
    return int(not is_same)


if __name__ == "__main__":
    sys.exit(main())
