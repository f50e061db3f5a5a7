"""Peak memory of a training at a lookback: `python -m benchmarks.speed.training_sides.memory LOOKBACK`.

A million bars with 41 inputs, which are 164 MB; a small network, since only the data counts here. It prints bytes.
"""

import sys

import numpy as np

from models.config import ModelConfig, Strategy
from models.phases import peak_memory
from models.preprocessing.windows import TrainingWindows
from models.training.device import Device
from models.training.seeds.fit_seeds import FitTask, fit_seeds

BARS, FEATURES, VALIDATED = 1_000_000, 41, 20_000


def main(lookback: int) -> None:
    """Train an epoch, and print the peak of the resident memory."""
    inputs = np.random.default_rng(0).standard_normal((BARS, FEATURES), np.float32)
    ends = np.arange(lookback - 1, BARS)
    targets = inputs[ends, :3].astype(np.float64)
    train, validation = (
        TrainingWindows(inputs, ends[span], lookback, np.ones(len(ends[span])), targets[span])
        for span in (slice(-VALIDATED), slice(-VALIDATED, None))
    )
    config = ModelConfig("lstm", Strategy.MULTI_STEP, lookback, units=4, seeds=(0,), max_epochs=1)
    fit_seeds(FitTask(config, train, validation, np.zeros((0, FEATURES), np.float32)), (0,), lambda _: None, Device.CPU)
    print(peak_memory())


if __name__ == "__main__":
    main(int(sys.argv[1]))
