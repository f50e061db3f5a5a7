"""The networks over frames in NumPy: convolutions, ConvLSTM2D and the decoder, so that serving needs no framework.

Equal to Keras to 1e-5 (a test holds it so). Every convolution is a sum over the kernel's taps of one product
each: the kernels are small. Arrays are named `layer.position`, in the order in which Keras keeps them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.networks.lstm_numpy import Weights, run_lstm, sigmoid, zero_state
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array


class ConvGeometry(NamedTuple):
    """How a convolution walks: `strides` per axis of space, and `padding`, `same` or `valid`."""

    strides: tuple[int, ...]
    padding: str = "same"


def convolve(inputs: Float32Array, kernel: Float32Array, fold: ConvGeometry) -> Float32Array:
    """A convolution over any number of axes, as Keras counts them (no flip of the kernel).

    Args:
        inputs: `(batch, *space, channels)`.
        kernel: `(*taps, channels, filters)`.
        fold: Strides and padding; `same` pads with zeros, the odd one at the end.

    Returns:
        `(batch, *space out, filters)`; with `same` the space is divided by the strides, rounded up.
    """
    taps = kernel.shape[:-2]
    sizes = inputs.shape[1:-1]
    if fold.padding == "same":
        walked = [-(-size // stride) for size, stride in zip(sizes, fold.strides, strict=True)]
        wanted = [
            max((out - 1) * stride + tap - size, 0)
            for out, stride, tap, size in zip(walked, fold.strides, taps, sizes, strict=True)
        ]
        inputs = np.pad(inputs, [(0, 0), *((pad // 2, pad - pad // 2) for pad in wanted), (0, 0)])
    else:
        walked = [(size - tap) // stride + 1 for size, tap, stride in zip(sizes, taps, fold.strides, strict=True)]
    answer = np.zeros((len(inputs), *walked, kernel.shape[-1]), np.float32)
    for tap in np.ndindex(*taps):
        answer += row_product(inputs[_steps(tap, walked, fold.strides)], kernel[tap])
    return answer


def convolve_transposed(inputs: Float32Array, kernel: Float32Array, strides: tuple[int, ...]) -> Float32Array:
    """The transpose of a `same` convolution, as Keras' Conv3DTranspose has it.

    Args:
        inputs: `(batch, *space, channels)`.
        kernel: `(*taps, filters, channels)`, no tap count below its stride.
        strides: One per axis of space.

    Returns:
        `(batch, *space * strides, filters)`.
    """
    taps, sizes = kernel.shape[:-2], inputs.shape[1:-1]
    whole = [(size - 1) * stride + tap for size, stride, tap in zip(sizes, strides, taps, strict=True)]
    answer = np.zeros((len(inputs), *whole, kernel.shape[-2]), np.float32)
    for tap in np.ndindex(*taps):
        answer[_steps(tap, sizes, strides)] += row_product(inputs, kernel[tap].T)
    first = [(tap - stride) // 2 for tap, stride in zip(taps, strides, strict=True)]
    cut = [slice(start, start + size * stride) for start, size, stride in zip(first, sizes, strides, strict=True)]
    inner: Float32Array = answer[(slice(None), *cut)]
    return inner


def conv_lstm(
    arrays: Sequence[Float32Array],
    frames: Float32Array,
    fold: ConvGeometry,
    gate: Callable[[Float32Array], Float32Array] = sigmoid,
) -> Float32Array:
    """A ConvLSTM2D (Shi et al. 2015), every output.

    Args:
        arrays: `kernel (*taps, channels, 4 filters)`, `recurrent (*taps, filters, 4 filters)`, `bias
            (4 filters,)`; gates in Keras' order: input, forget, candidate, output.
        frames: `(batch, frames, rows, columns, channels)`, oldest first.
        fold: Strides and padding of the products with the frames; those with the state keep its size.
        gate: Activation of the three gates.

    Returns:
        `(batch, frames, rows out, columns out, filters)`.
    """
    kernel, recurrent, bias = arrays
    outputs: list[Float32Array] = []
    hidden = cell = None
    for position in range(frames.shape[1]):
        mixed: Float32Array = convolve(frames[:, position], kernel, fold) + bias
        if hidden is not None:
            mixed = mixed + convolve(hidden, recurrent, ConvGeometry((1, 1)))
        enter, keep, candidate, leave = np.split(mixed, 4, axis=-1)
        fresh = gate(enter) * np.tanh(candidate)
        cell = fresh if cell is None else gate(keep) * cell + fresh
        hidden = gate(leave) * np.tanh(cell)
        outputs.append(hidden)
    return np.stack(outputs, axis=1)


def lstm(arrays: Sequence[Float32Array], steps: Float32Array) -> Float32Array:
    """An LSTM, every output.

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
    """A layer's arrays in Keras' order.

    Raises:
        KeyError: One of the `count` arrays is absent.
    """
    return [weights[f"{layer}.{position}"] for position in range(count)]


def named_arrays(layers: Mapping[str, Sequence[Float32Array]]) -> Weights:
    """Arrays by layer to arrays by `layer.position`; the reverse of `arrays_of`."""
    return {f"{layer}.{position}": array for layer, arrays in layers.items() for position, array in enumerate(arrays)}


def _steps(tap: tuple[int, ...], counts: Sequence[int], strides: Sequence[int]) -> tuple[slice, ...]:
    """The cells that one tap of a kernel meets, as slices of `(batch, *space)`."""
    each = (
        slice(start, start + (count - 1) * stride + 1, stride)
        for start, count, stride in zip(tap, counts, strides, strict=True)
    )
    return (slice(None), *each)
