"""NumPy forward pass of the network `conv_lstm`, the twin of `conv_lstm.build_market_conv_lstm`."""

from collections.abc import Mapping

from models.config import QUANTILES
from models.networks.lstm_numpy import spread_quantiles
from models.networks.row_product import row_product
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.convolution_numpy import ConvGeometry, arrays_of, conv_lstm
from models.preprocessing.windows import Float32Array


def forward_conv_lstm(
    spec: SpatiotemporalSpec, weights: Mapping[str, Float32Array], frames: Float32Array
) -> Float32Array:
    """Return the quantiles of all symbols from market images.

    Args:
        spec: Size that the network was built with.
        weights: Arrays of the layers `conv_lstm` (three) and `head` (two).
        frames: `(batch, lookback, rows, columns, channels)`, oldest session first.

    Returns:
        `(batch, rows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        KeyError: An array is absent.
        ValueError: An array does not fit the frames.
    """
    inputs = frames.reshape(len(frames), spec.frames, spec.rows, 1, spec.columns * spec.channels)
    hidden = conv_lstm(arrays_of(weights, "conv_lstm", 3), inputs, ConvGeometry((1, 1)))[:, -1, :, 0]
    kernel, bias = arrays_of(weights, "head", 2)
    raw: Float32Array = row_product(hidden, kernel) + bias
    return spread_quantiles(raw.reshape(len(frames), spec.rows, spec.horizon, len(QUANTILES)))
