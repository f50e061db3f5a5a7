"""Keras `fit` on gathered windows, batches of 1024, without unrolling; answers as `torch_lstm`."""

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from models.config import QUANTILES
from models.networks.config import NetworkSpec
from models.networks.lstm import build_lstm

LOOKBACK, BATCH = 5, 1024


def answer(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Train what a request names; see `training_rates.Side`."""
    import keras

    def loss(targets: Any, quantiles: Any) -> Any:
        levels, errors = np.asarray(QUANTILES, np.float32), targets[..., None] - quantiles
        return keras.ops.mean(keras.ops.maximum(levels * errors, (levels - 1) * errors), axis=(-2, -1))

    features = request["features"]
    inputs = np.ascontiguousarray(np.load(folder / "inputs.npy")[:, :features])
    ends = np.load(folder / "train_ends.npy")
    targets = np.load(folder / "train_targets.npy").astype(np.float32)
    windows = inputs[ends[:, None] - np.arange(LOOKBACK - 1, -1, -1)]
    seconds = 0.0
    for seed in range(request["seeds"]):
        network = build_lstm(NetworkSpec(LOOKBACK, features, 48, targets.shape[1], seed), unroll=False)
        network.compile(keras.optimizers.AdamW(1e-3), loss)
        network.fit(windows[:BATCH], targets[:BATCH], batch_size=BATCH, verbose=0)  # compiles
        begun = perf_counter()
        network.fit(windows, targets, batch_size=BATCH, epochs=request["epochs"], verbose=0)
        seconds += perf_counter() - begun
    return {"seconds": seconds}


def main() -> None:
    """Answer one JSON request a line."""
    for line in sys.stdin:
        print(json.dumps(answer(Path(sys.argv[1]), json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
