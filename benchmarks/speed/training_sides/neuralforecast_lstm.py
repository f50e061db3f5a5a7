"""neuralforecast's LSTM at its fastest known setting, 8 series a batch; answers as `torch_lstm`.

It trains on 51 random series of the same length in all; its speed does not depend on the values. The rate is the
marginal one: the seconds of a longer fit less those of a shorter one.
"""

import json
import logging
import sys
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch

SERIES, ROWS, BATCH, SHORT = 51, 3_657, 1024, 20


def seconds_of(frame: pd.DataFrame, steps: int) -> float:
    """Return the seconds of a fit."""
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    model = LSTM(
        h=3,
        input_size=5,
        encoder_n_layers=1,
        encoder_hidden_size=48,
        loss=MQLoss(quantiles=[0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975]),
        hist_exog_list=[name for name in frame.columns if name.startswith("x")],
        batch_size=8,
        windows_batch_size=BATCH,
        max_steps=steps,
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
    )
    begun = perf_counter()
    NeuralForecast(models=[model], freq=1).fit(frame)
    return perf_counter() - begun


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the seconds of as many windows as a request's seeds and epochs have."""
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"unique_id": np.repeat(np.arange(SERIES), ROWS), "ds": np.tile(np.arange(ROWS), SERIES)})
    frame["y"] = draw.normal(size=len(frame)).astype(np.float32)
    for number in range(request["features"] - 1):
        frame[f"x{number}"] = draw.normal(size=len(frame)).astype(np.float32)
    steps = max(SHORT, request["windows"] // BATCH)
    return {"seconds": seconds_of(frame, SHORT + steps) - seconds_of(frame, SHORT)}


def main() -> None:
    """Answer one JSON request a line."""
    torch.set_num_threads(2)
    logging.disable(logging.WARNING)
    out = sys.stdout
    sys.stdout = sys.stderr  # the library prints
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
