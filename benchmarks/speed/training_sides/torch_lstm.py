"""PyTorch's nn.LSTM as its users write it: resident tensors, fused Adam, two threads, seeds one after another.

It runs in an environment without the product and answers requests on its standard input, see `training_rates`.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

UNITS, BATCH, LOOKBACK, RATE, DECAY = 48, 1024, 5, 1e-3, 1e-4
LEVELS = (0.025, 0.10, 0.25, 0.50, 0.75, 0.90, 0.975)
MEDIAN = 3


class Network(torch.nn.Module):  # type: ignore[misc]
    """One LSTM, its last output into ordered quantiles, as the product's `lstm`."""

    def __init__(self, features: int, horizon: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.lstm = torch.nn.LSTM(features, UNITS, batch_first=True)
        self.head = torch.nn.Linear(UNITS, horizon * len(LEVELS))

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Return ascending quantiles `(windows, horizon, 7)`."""
        outputs, _ = self.lstm(windows)
        raw = self.head(outputs[:, -1]).view(-1, self.horizon, len(LEVELS))
        widths = torch.nn.functional.softplus(raw)
        ordered = [raw[..., MEDIAN]]
        for level in range(MEDIAN - 1, -1, -1):
            ordered.insert(0, ordered[0] - widths[..., level])
        for level in range(MEDIAN + 1, len(LEVELS)):
            ordered.append(ordered[-1] + widths[..., level])
        return torch.stack(ordered, -1)


def loader(folder: Path, device: torch.device) -> Callable[[int], dict[str, torch.Tensor]]:
    """Return a function that loads the tensors for a number of inputs."""

    def load(features: int) -> dict[str, torch.Tensor]:
        names = ("train_ends", "train_targets", "validation_ends", "validation_targets")
        arrays = {name: np.load(folder / f"{name}.npy") for name in names}
        arrays["inputs"] = np.ascontiguousarray(np.load(folder / "inputs.npy")[:, :features])
        kinds = {"i": torch.int64, "f": torch.float32}
        return {name: torch.tensor(a, dtype=kinds[a.dtype.kind], device=device) for name, a in arrays.items()}

    return load


def train(data: dict[str, torch.Tensor], seed: int, epochs: int, validate: bool) -> list[tuple[float, float]]:
    """Train one seed; return seconds since its start and validation loss after each epoch."""
    torch.manual_seed(seed)
    inputs, ends, targets = data["inputs"], data["train_ends"], data["train_targets"]
    offsets = torch.arange(LOOKBACK - 1, -1, -1, device=inputs.device)
    levels = torch.tensor(LEVELS, device=inputs.device)
    network = Network(inputs.shape[1], targets.shape[1]).to(inputs.device)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY, fused=True)

    def loss_of(windows: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        errors = wanted[..., None] - network(windows)
        return torch.maximum(levels * errors, (levels - 1) * errors).mean()

    curve, begun = [], perf_counter()
    for _ in range(epochs):
        order = torch.randperm(len(ends), device=inputs.device)
        for step in range(len(ends) // BATCH):
            batch = order[step * BATCH : (step + 1) * BATCH]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(inputs[ends[batch][:, None] - offsets], targets[batch])
            loss.backward()
            optimizer.step()
        value = 0.0
        if validate:
            with torch.no_grad():
                value = float(loss_of(inputs[data["validation_ends"][:, None] - offsets], data["validation_targets"]))
        elif inputs.is_cuda:
            torch.cuda.synchronize()
        curve.append((perf_counter() - begun, value))
    return curve


def answer(load: Callable[[int], dict[str, torch.Tensor]], request: dict[str, Any]) -> dict[str, Any]:
    """Train what a request names; see `training_rates.Side`."""
    data = load(request["features"])
    if request["curve"]:
        return {"curve": train(data, request["seeds"], request["epochs"], True)}
    begun = perf_counter()
    for seed in range(request["seeds"]):
        train(data, seed, request["epochs"], False)
    return {"seconds": perf_counter() - begun}


def main() -> None:
    """Answer one JSON request a line."""
    torch.set_num_threads(2)
    load = loader(Path(sys.argv[1]), torch.device("cpu"))
    for line in sys.stdin:
        print(json.dumps(answer(load, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
