"""Layers of the spatiotemporal networks in NumPy: convolutions, ConvLSTM2D and LSTM; serving needs no framework.

Equal to Keras within 1e-5, which a test checks. A convolution is a sum over the taps of the kernel, with one product
each, since the kernels are small. Arrays are named `layer.position`, in the order of Keras.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.networks.lstm_numpy import Weights, run_lstm, sigmoid, zero_state
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array


class ConvGeometry(NamedTuple):
    """Geometry of a convolution: `strides` per axis of space, and `padding`, `same` or `valid`."""

    strides: tuple[int, ...]
    padding: str = "same"


def convolve(inputs: Float32Array, kernel: Float32Array, geometry: ConvGeometry) -> Float32Array:
    """Return the convolution over any number of axes, as Keras defines it (the kernel is not flipped).

    Args:
        inputs: `(batch, *space, channels)`.
        kernel: `(*taps, channels, filters)`.
        geometry: Strides and padding; `same` pads with zeros, an odd one at the end.

    Returns:
        `(batch, *space out, filters)`; with `same` the space is divided by the strides, rounded up.
    """
    taps = kernel.shape[:-2]
    sizes = inputs.shape[1:-1]
    if geometry.padding == "same":
        counts = [-(-size // stride) for size, stride in zip(sizes, geometry.strides, strict=True)]
        pads = [
            max((count - 1) * stride + tap - size, 0)
            for count, stride, tap, size in zip(counts, geometry.strides, taps, sizes, strict=True)
        ]
        inputs = np.pad(inputs, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    else:
        counts = [(size - tap) // stride + 1 for size, tap, stride in zip(sizes, taps, geometry.strides, strict=True)]
    outputs = np.zeros((len(inputs), *counts, kernel.shape[-1]), np.float32)
    for tap in np.ndindex(*taps):
        outputs += row_product(inputs[_cells_of_tap(tap, counts, geometry.strides)], kernel[tap])
    return outputs


def convolve_transposed(inputs: Float32Array, kernel: Float32Array, strides: tuple[int, ...]) -> Float32Array:
    """Return the transposed `same` convolution, as Conv3DTranspose of Keras defines it.

    Args:
        inputs: `(batch, *space, channels)`.
        kernel: `(*taps, filters, channels)`, no tap count below its stride.
        strides: One per axis of space.

    Returns:
        `(batch, *space * strides, filters)`.
    """
    taps, sizes = kernel.shape[:-2], inputs.shape[1:-1]
    full = [(size - 1) * stride + tap for size, stride, tap in zip(sizes, strides, taps, strict=True)]
    outputs = np.zeros((len(inputs), *full, kernel.shape[-2]), np.float32)
    for tap in np.ndindex(*taps):
        outputs[_cells_of_tap(tap, sizes, strides)] += row_product(inputs, kernel[tap].T)
    first = [(tap - stride) // 2 for tap, stride in zip(taps, strides, strict=True)]
    crop = [slice(start, start + size * stride) for start, size, stride in zip(first, sizes, strides, strict=True)]
    cropped: Float32Array = outputs[(slice(None), *crop)]
    return cropped


def conv_lstm(
    arrays: Sequence[Float32Array],
    frames: Float32Array,
    geometry: ConvGeometry,
    gate_activation: Callable[[Float32Array], Float32Array] = sigmoid,
) -> Float32Array:
    """Return all outputs of a ConvLSTM2D (Shi et al. 2015).

    Args:
        arrays: `kernel (*taps, channels, 4 filters)`, `recurrent (*taps, filters, 4 filters)`, `bias
            (4 filters,)`; gates in the order of Keras: input, forget, candidate, output.
        frames: `(batch, frames, rows, columns, channels)`, oldest first.
        geometry: Strides and padding of the convolutions of the frames; those of the state keep its size.
        gate_activation: Activation of the input, forget and output gate.

    Returns:
        `(batch, frames, rows out, columns out, filters)`.
    """
    kernel, recurrent, bias = arrays
    outputs: list[Float32Array] = []
    hidden = cell = None
    for position in range(frames.shape[1]):
        mixed: Float32Array = convolve(frames[:, position], kernel, geometry) + bias
        if hidden is not None:
            mixed = mixed + convolve(hidden, recurrent, ConvGeometry((1, 1)))
        input_gate, forget_gate, candidate, output_gate = np.split(mixed, 4, axis=-1)
        update = gate_activation(input_gate) * np.tanh(candidate)
        cell = update if cell is None else gate_activation(forget_gate) * cell + update
        hidden = gate_activation(output_gate) * np.tanh(cell)
        outputs.append(hidden)
    return np.stack(outputs, axis=1)


def lstm(arrays: Sequence[Float32Array], steps: Float32Array) -> Float32Array:
    """Return all outputs of an LSTM.

    Args:
        arrays: `kernel (inputs, 4 units)`, `recurrent (units, 4 units)`, `bias (4 units,)`.
        steps: `(batch, steps, inputs)`.

    Returns:
        `(batch, steps, units)`.
    """
    weights = dict(zip(("kernel", "recurrent", "bias"), arrays, strict=True))
    outputs, _ = run_lstm(weights, steps, zero_state(len(steps), len(arrays[1])))
    return outputs


def arrays_of(weights: Mapping[str, Float32Array], layer: str, count: int) -> list[Float32Array]:
    """Return the arrays of a layer in the order of Keras.

    Raises:
        KeyError: One of the `count` arrays is absent.
    """
    return [weights[f"{layer}.{position}"] for position in range(count)]


def named_arrays(layers: Mapping[str, Sequence[Float32Array]]) -> Weights:
    """Return the arrays of all layers by `layer.position`; the reverse of `arrays_of`."""
    return {f"{layer}.{position}": array for layer, arrays in layers.items() for position, array in enumerate(arrays)}


def _cells_of_tap(tap: tuple[int, ...], counts: Sequence[int], strides: Sequence[int]) -> tuple[slice, ...]:
    """Return the cells that one tap of a kernel covers, as slices of `(batch, *space)`."""
    space = (
        slice(start, start + (count - 1) * stride + 1, stride)
        for start, count, stride in zip(tap, counts, strides, strict=True)
    )
    return (slice(None), *space)
