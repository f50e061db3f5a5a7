"""A small task of seeds: random windows with a known order."""

import numpy as np

from models.config import ModelConfig, Strategy
from models.preprocessing.windows import TrainingWindows
from models.training.seeds.fit_seeds import FitTask

LOOKBACK, FEATURES = 2, 4


def small_task(seeds: tuple[int, ...] = (3, 1, 2), **changes: object) -> FitTask:
    draw = np.random.default_rng(5)
    inputs = draw.normal(size=(600, FEATURES)).astype(np.float32)
    spans = []
    for first, last in ((1, 480), (480, 600)):
        count = last - first
        targets = 0.3 * inputs[first:last, :1] + draw.normal(size=(count, 1))
        spans.append(TrainingWindows(inputs, np.arange(first, last), LOOKBACK, np.full(count, 0.01), targets))
    fields: dict[str, object] = {"units": 4, "batch_size": 64, "max_epochs": 3, "median_share": 0.5, **changes}
    config = ModelConfig("lstm", Strategy.ONE_STEP, lookback=LOOKBACK, seeds=seeds, **fields)  # type: ignore[arg-type]
    return FitTask(config, *spans, np.array([[0, 0, 1, 1]], np.float32))
