"""Spatiotemporal networks by name. Keras is imported only when a network is built.

A spatiotemporal network reads all symbols of a calendar together, `(batch, lookback, rows, columns, channels)`, while
those of `models.networks.WINDOW_NETWORKS` read the window of one symbol.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from models.config import MEDIAN
from models.errors import ArtifactError
from models.networks import look_up
from models.networks.lstm_numpy import Weights
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.conv3d_lstm_numpy import forward_conv3d_lstm
from models.networks.spatiotemporal.conv_lstm_numpy import forward_conv_lstm
from models.networks.spatiotemporal.convolution_numpy import named_arrays
from models.preprocessing.price_history import FloatArray
from models.preprocessing.windows import Float32Array

MEDIAN_SHARE, MEDIANS = "median_share.0", "median_share.1"
"""Names of the arrays that `with_kept_median` adds."""

Forward = Callable[[SpatiotemporalSpec, Mapping[str, Float32Array], Float32Array], Float32Array]
"""Function of size, arrays and frames `(batch, lookback, rows, columns, channels)`; returns quantiles
`(batch, rows, horizon, 7)`."""


@dataclass(frozen=True, slots=True)
class SpatiotemporalDefinition:
    """A registered spatiotemporal network.

    Attributes:
        name: Its name in model configs, settings and tables.
        build: Builds a `keras.Model` from market images to `(batch, rows, horizon, 7)`; imports Keras.
        build_frames: Builds a `keras.Model` from image frames to the next `horizon` frames.
        forward: Forward pass of the network of `build` in NumPy, from the arrays of `spatiotemporal_weights`.
        compiles: Whether XLA compiles its training steps: on a CPU, XLA is slow at convolutions.
    """

    name: str
    build: Callable[[SpatiotemporalSpec], Any]
    build_frames: Callable[[SpatiotemporalSpec], Any]
    forward: Forward
    compiles: bool = False

    def window(self, lookback: int) -> int:
        """Return the sessions of a window: the lookback, since there is no state to warm up."""
        return lookback


def _build_conv_lstm(spec: SpatiotemporalSpec) -> Any:
    from models.networks.spatiotemporal.conv_lstm import build_market_conv_lstm

    return build_market_conv_lstm(spec)


def _build_frames_conv_lstm(spec: SpatiotemporalSpec) -> Any:
    from models.networks.spatiotemporal.conv_lstm import build_frames_conv_lstm

    return build_frames_conv_lstm(spec)


def _build_conv3d_lstm(name: str, spec: SpatiotemporalSpec) -> Any:
    from models.networks.spatiotemporal.conv3d_lstm import Conv3DVariant, build_market_conv3d_lstm

    return build_market_conv3d_lstm(spec, Conv3DVariant(name))


def _build_frames_conv3d_lstm(name: str, spec: SpatiotemporalSpec) -> Any:
    from models.networks.spatiotemporal.conv3d_lstm import Conv3DVariant, build_frames_conv3d_lstm

    return build_frames_conv3d_lstm(spec, Conv3DVariant(name))


def _conv3d(name: str) -> SpatiotemporalDefinition:
    return SpatiotemporalDefinition(
        name, partial(_build_conv3d_lstm, name), partial(_build_frames_conv3d_lstm, name), forward_conv3d_lstm
    )


SPATIOTEMPORAL_NETWORKS: Mapping[str, SpatiotemporalDefinition] = {
    "conv_lstm": SpatiotemporalDefinition(
        "conv_lstm", _build_conv_lstm, _build_frames_conv_lstm, forward_conv_lstm, compiles=True
    ),
    "conv3d_lstm": _conv3d("conv3d_lstm"),
    "conv3d_lstm_variational": _conv3d("conv3d_lstm_variational"),
    "conv3d_lstm_per_frame": _conv3d("conv3d_lstm_per_frame"),
}
"""The registered spatiotemporal networks."""


def spatiotemporal_network(name: str) -> SpatiotemporalDefinition:
    """Return a spatiotemporal network by name.

    Args:
        name: A key of `SPATIOTEMPORAL_NETWORKS`.

    Raises:
        UnknownNetwork: The name is not registered.
    """
    return look_up(SPATIOTEMPORAL_NETWORKS, name, "spatiotemporal network")


def spatiotemporal_weights(model: Any) -> Weights:
    """Return copies of a model's arrays, named `layer.position`, float32.

    Args:
        model: A model that a `build` of this module returned.
    """
    return named_arrays({layer.name: layer.get_weights() for layer in model.layers if layer.weights})


def with_kept_median(weights: Weights, share: float, medians: FloatArray) -> Weights:
    """Return the arrays of a network whose median moves only a share of the way from the training targets' median.

    See `ModelConfig.median_share`.

    Args:
        weights: Arrays of a trained network.
        share: With 0 the forecast's medians are `medians`, with 1 those of the network; all quantiles move with the
            median.
        medians: `(horizon,)` median of the training targets, in units of `sigma * sqrt(step)`.

    Returns:
        The arrays, and for a share below 1 two more, which `forward_checked` reads.
    """
    if share == 1:
        return weights
    return {**weights, MEDIAN_SHARE: np.array([share], np.float32), MEDIANS: medians.astype(np.float32)}


def without_kept_median(weights: Weights) -> Weights:
    """Return the arrays as trained, from those that `with_kept_median` returned."""
    return {name: array for name, array in weights.items() if name not in (MEDIAN_SHARE, MEDIANS)}


def forward_checked(
    network: SpatiotemporalDefinition,
    spec: SpatiotemporalSpec,
    weights: Mapping[str, Float32Array],
    frames: Float32Array,
) -> Float32Array:
    """Return the quantiles of a network's NumPy forward pass, with clear errors for arrays that do not fit.

    Args:
        network: The network.
        spec: Size that the network was built with.
        weights: Arrays with the names of `spatiotemporal_weights`.
        frames: `(batch, lookback, rows, columns, channels)`, oldest session first.

    Returns:
        `(batch, rows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the frames.
    """
    try:
        quantiles = network.forward(spec, weights, frames)
        if MEDIAN_SHARE in weights:
            shift = (np.float32(1.0) - weights[MEDIAN_SHARE]) * (weights[MEDIANS] - quantiles[..., MEDIAN])
            quantiles = quantiles + shift[..., None]
        return quantiles
    except KeyError as error:
        raise ArtifactError(f"the weights of {network.name} lack {error.args[0]}; train the artifact again") from error
    except ValueError as error:
        raise ArtifactError(
            f"the weights of {network.name} do not fit frames of {frames.shape[1:]} ({error}); train the version again"
        ) from error
