"""The NumPy forward pass of `lstm` against ONNX Runtime: same bits, latency, memory, seconds to the first forecast.

It needs `onnx` and `onnxruntime`, which the service does not need: install them into a separate environment, with
NumPy of the locked version. Run from the repository's root, each in its own process:

    python -m benchmarks.speed.onnx_runtime numpy
    python -m benchmarks.speed.onnx_runtime onnx
"""

import argparse
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from models.config import MEDIAN, QUANTILES
from models.networks.lstm_numpy import Weights, forward_lstm
from models.preprocessing.windows import Float32Array

FEATURES, UNITS, LOOKBACK, HORIZON = 15, 48, 5, 3
"""Sizes of the network measured."""

ROWS = (1, 51, 600, 20_000)
"""Sizes of the batches measured."""


def random_weights() -> Weights:
    """Return random arrays of one `lstm`, from a fixed seed."""
    draw = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "kernel": (FEATURES, 4 * UNITS),
        "recurrent": (UNITS, 4 * UNITS),
        "bias": (4 * UNITS,),
        "head_kernel": (UNITS, HORIZON * len(QUANTILES)),
        "head_bias": (HORIZON * len(QUANTILES),),
    }
    return {name: draw.normal(scale=0.3, size=shape).astype(np.float32) for name, shape in shapes.items()}


def onnx_model(weights: Weights) -> bytes:
    """Return the network as a serialised ONNX graph, `x (n, lookback, features)` to `y (n, horizon, 7)`."""
    onnx: Any = import_module("onnx")
    helper, levels = onnx.helper, len(QUANTILES)
    arrays = {
        "kernel": _onnx_gates(weights["kernel"]).T[None],
        "recurrent": _onnx_gates(weights["recurrent"]).T[None],
        "bias": np.concatenate([_onnx_gates(weights["bias"]), np.zeros(4 * UNITS, np.float32)])[None],
        "head_kernel": weights["head_kernel"],
        "head_bias": weights["head_bias"],
        "shape": np.array([-1, HORIZON, levels]),
        **{f"at_{level}": np.array([level]) for level in range(levels + 1)},
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["sessions"], perm=[1, 0, 2]),
        helper.make_node("LSTM", ["sessions", "kernel", "recurrent", "bias"], ["", "last"], hidden_size=UNITS),
        helper.make_node("Squeeze", ["last", "at_0"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "head_kernel", "head_bias"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["raw"]),
        helper.make_node("Softplus", ["raw"], ["widths"]),
    ]
    for level in range(levels):
        source = "raw" if level == MEDIAN else "widths"
        result = f"q_{level}" if level == MEDIAN else f"w_{level}"
        nodes.append(helper.make_node("Slice", [source, f"at_{level}", f"at_{level + 1}", "at_2"], [result]))
    for level in range(MEDIAN - 1, -1, -1):
        nodes.append(helper.make_node("Sub", [f"q_{level + 1}", f"w_{level}"], [f"q_{level}"]))
    for level in range(MEDIAN + 1, levels):
        nodes.append(helper.make_node("Add", [f"q_{level - 1}", f"w_{level}"], [f"q_{level}"]))
    nodes.append(helper.make_node("Concat", [f"q_{level}" for level in range(levels)], ["y"], axis=2))
    real = onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("x", real, ["n", LOOKBACK, FEATURES])
    answer = helper.make_tensor_value_info("y", real, ["n", HORIZON, levels])
    stored = [onnx.numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "lstm", [given], [answer], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    serialised: bytes = model.SerializeToString()
    return serialised


def measure(forward: Callable[[Float32Array], Float32Array], windows: Float32Array) -> dict[str, float]:
    """Return the median milliseconds by batch size, and the rows of 600 with the same bits alone as together."""
    figures: dict[str, float] = {}
    for rows in ROWS:
        seconds = []
        for _ in range(max(5, min(500, 20_000 // rows))):
            started = perf_counter()
            forward(windows[:rows])
            seconds.append(perf_counter() - started)
        figures[f"ms_{rows}"] = median(seconds) * 1e3
    together = forward(windows[:600])
    same = (np.array_equal(forward(windows[row : row + 1])[0], together[row]) for row in range(600))
    figures["same_bits_of_600"] = sum(same)
    return figures


def main() -> None:
    """Measure one of the two and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", choices=("numpy", "onnx"))
    runtime = parser.parse_args().runtime
    weights = random_weights()
    windows = np.random.default_rng(1).normal(size=(max(ROWS), LOOKBACK, FEATURES)).astype(np.float32)
    reference = forward_lstm(weights, windows[:600])
    model = onnx_model(weights) if runtime == "onnx" else b""
    before, started = _resident_mib(), perf_counter()
    forward = _onnx_forward(model) if runtime == "onnx" else lambda given: forward_lstm(weights, given)
    forward(windows[:1])
    figures = {"first_forecast_ms": (perf_counter() - started) * 1e3, "loaded_mib": _resident_mib() - before}
    figures |= measure(forward, windows)
    figures["mib"] = _resident_mib() - before
    figures["largest_difference"] = float(np.abs(forward(windows[:600]) - reference).max())
    print(json.dumps(figures, indent=1))


def _onnx_gates(array: Float32Array) -> Float32Array:
    """Keras' order of the gates (input, forget, candidate, output) to that of ONNX (input, output, forget, cell)."""
    enter, forget, candidate, output = np.split(array, 4, axis=-1)
    return np.concatenate([enter, output, forget, candidate], axis=-1)


def _onnx_forward(model: bytes) -> Callable[[Float32Array], Float32Array]:
    """Return the forward pass of a session; ONNX Runtime is imported here, so that its start is measured."""
    runtime: Any = import_module("onnxruntime")
    session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def forward(windows: Float32Array) -> Float32Array:
        answer: Float32Array = session.run(None, {"x": windows})[0]
        return answer

    return forward


def _resident_mib() -> float:
    """Return the resident memory of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
