"""Test of the spatiotemporal networks on moving shapes: 5 frames in, the next 5 out, against copying the last frame.

Squares and discs move and bounce; they are generated here from a seed. Run from the repository's root:

    python -m benchmarks.accuracy.moving_shapes [--network conv3d_lstm] [--size 80] [--samples 3000] [--epochs 5]

It prints one JSON document and exits with 1 if the error is more than half of that of copying the last frame,
or if frames in a shuffled order are forecast as well.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.registry import spatiotemporal_network
from models.preprocessing.windows import Float32Array

FRAMES, HORIZON = 5, 5
"""Number of input and output frames."""

GOAL = 0.5
"""Upper bound of the mean squared error, in units of that of copying the last frame."""


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """The network and its training.

    Attributes:
        network: A name of `registry.SPATIOTEMPORAL_NETWORKS`.
        size: Rows and columns of a frame.
        units: Width of the recurrent layer, or filters.
        samples: Training sequences; the test uses a tenth as many others.
        epochs: Number of epochs.
        rate: Initial learning rate of Adam; it falls along half a cosine.
        seed: Seed of the shapes, the starting weights and the order.
    """

    network: str = "conv3d_lstm"
    size: int = 16
    units: int = 64
    samples: int = 3000
    epochs: int = 5
    rate: float = 4e-3
    seed: int = 0


def moving_shapes(samples: int, frames: int, size: int, seed: int) -> Float32Array:
    """Return sequences of one square or disc each, at constant velocity, bouncing off the frame's border.

    A shape's half width is an eighth to a sixth of the size, its speed along each axis 1/32 to 3/32 of the size per
    frame, in either direction.

    Args:
        samples: Number of sequences.
        frames: Frames in each.
        size: Rows and columns of a frame.
        seed: Seed of the random numbers.

    Returns:
        `(samples, frames, size, size, 1)` float32, 1 inside the shape, else 0; oldest first.
    """
    draw = np.random.default_rng(seed)
    radius = draw.integers(max(2, size // 8), max(3, size // 6) + 1, samples)
    is_disc = draw.random(samples) < 0.5
    low, high = radius.astype(np.float64)[:, None], (size - 1.0 - radius)[:, None]
    start = low + draw.random((samples, 2)) * (high - low)
    speed = draw.uniform(1 / 32, 3 / 32, (samples, 2)) * size * draw.choice([-1, 1], (samples, 2))
    shown = np.zeros((samples, frames, size, size, 1), np.float32)
    for frame in range(frames):
        # A bounce is a reflection: the path between two walls, unfolded, is a straight line.
        unfolded = np.mod(start + frame * speed - low, 2 * (high - low))
        centre = low + np.minimum(unfolded, 2 * (high - low) - unfolded)
        down = np.abs(np.arange(size)[None, :, None] - centre[:, 0, None, None])
        across = np.abs(np.arange(size)[None, None, :] - centre[:, 1, None, None])
        apart = np.where(is_disc[:, None, None], np.hypot(down, across), np.maximum(down, across))
        shown[:, frame, :, :, 0] = apart <= radius[:, None, None]
    return shown


def shuffled(sequences: Float32Array, seed: int) -> Float32Array:
    """Return the sequences, each with its frames in a random order."""
    draw = np.random.default_rng(seed)
    order = draw.permuted(np.tile(np.arange(sequences.shape[1]), (len(sequences), 1)), axis=1)
    return np.take_along_axis(sequences, order[:, :, None, None, None], axis=1)


def learn(setup: TrainingSetup, report: Callable[[str], None]) -> dict[str, Any]:
    """Train a network and test it on other sequences.

    Args:
        setup: The network and its training.
        report: Called with a message after each epoch.

    Returns:
        JSON-serializable: mean squared errors `copy`, `network` and `shuffled` (the same network, shuffled frames);
        `ratio` and `shuffled_ratio` to `copy`; `seconds` of training.
    """
    import keras

    size = setup.size
    training = moving_shapes(setup.samples, FRAMES + HORIZON, size, setup.seed)
    test = moving_shapes(max(setup.samples // 10, 1), FRAMES + HORIZON, size, setup.seed + 1)
    seen, future = test[:, :FRAMES], test[:, FRAMES:]
    model = spatiotemporal_network(setup.network).build_frames(
        SpatiotemporalSpec(FRAMES, size, size, 1, setup.units, HORIZON, setup.seed)
    )
    keras.utils.set_random_seed(setup.seed)
    batch = 16
    rate = keras.optimizers.schedules.CosineDecay(setup.rate, setup.epochs * -(-setup.samples // batch))
    # Without XLA: on a CPU it trains a Conv3D slower by an order of magnitude.
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", jit_compile=False)
    started = perf_counter()
    for epoch in range(setup.epochs):
        ended = model.fit(training[:, :FRAMES], training[:, FRAMES:], batch_size=batch, verbose=0)
        report(f"epoch {epoch + 1} loss {ended.history['loss'][-1]:.5f} after {perf_counter() - started:.0f} s")
    seconds = perf_counter() - started
    copied = _error(np.repeat(seen[:, -1:], HORIZON, axis=1), future)
    learned = _error(model.predict(seen, batch_size=64, verbose=0), future)
    mixed = _error(model.predict(shuffled(seen, setup.seed), batch_size=64, verbose=0), future)
    return {
        "copy": copied,
        "network": learned,
        "shuffled": mixed,
        "ratio": learned / copied,
        "shuffled_ratio": mixed / copied,
        "seconds": seconds,
    }


def main() -> int:
    """Train, test, print, and compare with the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="conv3d_lstm")
    parser.add_argument("--size", type=int, default=80)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=3e-3)
    arguments = parser.parse_args()
    figures = learn(TrainingSetup(**vars(arguments)), lambda sentence: print(sentence, file=sys.stderr))
    print(json.dumps(figures, indent=1))
    return 0 if figures["ratio"] <= GOAL and figures["shuffled"] > figures["network"] else 1


def _error(forecast: Float32Array, actual: Float32Array) -> float:
    return float(np.square(forecast - actual).mean())


if __name__ == "__main__":
    sys.exit(main())
