"""Every network over frames by name. Keras is imported only when one is built.

A network over frames sees all symbols of a calendar at once, `(batch, lookback, rows, columns, channels)`, where
those of `models.networks.WINDOW_NETWORKS` see one symbol's window.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from models.errors import ArtifactError
from models.networks import look_up
from models.networks.lstm_numpy import MEDIAN, Weights
from models.networks.spatiotemporal.config import SpatiotemporalSpec
from models.networks.spatiotemporal.conv3d_lstm_numpy import forward_conv3d_lstm
from models.networks.spatiotemporal.conv_lstm_numpy import forward_conv_lstm
from models.networks.spatiotemporal.convolution_numpy import named_arrays
from models.preprocessing.frame import FloatArray
from models.preprocessing.windows import Float32Array

MEDIAN_SHARE, MEDIANS = "median_share.0", "median_share.1"
"""Names of the arrays of `with_kept_median`."""

Forward = Callable[[SpatiotemporalSpec, Mapping[str, Float32Array], Float32Array], Float32Array]
"""From size, arrays and frames `(batch, lookback, rows, columns, channels)` to `(batch, rows, horizon, 7)`."""


@dataclass(frozen=True, slots=True)
class SpatiotemporalDefinition:
    """One way through frames.

    Attributes:
        name: The name in recipes, settings and tables.
        build: Makes a `keras.Model` from the market's frames to `(batch, rows, horizon, 7)`; imports Keras.
        build_frames: Makes a `keras.Model` from plain frames to the `horizon` frames that follow.
        forward: What `build` makes, in NumPy, from the arrays of `spatiotemporal_weights`.
    """

    name: str
    build: Callable[[SpatiotemporalSpec], Any]
    build_frames: Callable[[SpatiotemporalSpec], Any]
    forward: Forward

    def window(self, lookback: int) -> int:
        """Sessions of a window where `lookback` are asked for: as many, no state is carried."""
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
    "conv_lstm": SpatiotemporalDefinition("conv_lstm", _build_conv_lstm, _build_frames_conv_lstm, forward_conv_lstm),
    "conv3d_lstm": _conv3d("conv3d_lstm"),
    "conv3d_lstm_variational": _conv3d("conv3d_lstm_variational"),
    "conv3d_lstm_per_frame": _conv3d("conv3d_lstm_per_frame"),
}
"""The registered networks over frames."""


def spatiotemporal_network(name: str) -> SpatiotemporalDefinition:
    """Look a network over frames up.

    Args:
        name: A key of `SPATIOTEMPORAL_NETWORKS`.

    Raises:
        UnknownNetwork: Nobody registered that name.
    """
    return look_up(SPATIOTEMPORAL_NETWORKS, name, "network over frames")


def spatiotemporal_weights(model: Any) -> Weights:
    """Copy a model's arrays out, named `layer.position`, float32.

    Args:
        model: What a `build` of this module made.
    """
    return named_arrays({layer.name: layer.get_weights() for layer in model.layers if layer.weights})


def with_kept_median(weights: Weights, share: float, medians: FloatArray) -> Weights:
    """Keep a share of the trained median's way from the training targets' median (see `fitting.with_median_share`).

    Args:
        weights: A trained network's arrays.
        share: 0 answers these medians, 1 leaves the answers as they are; all quantiles move with the median.
        medians: `(horizon,)` median of the training targets, in units of `sigma * sqrt(step)`.

    Returns:
        The arrays, and for a share below 1 two more, which `forward_checked` reads.
    """
    if share == 1:
        return weights
    return {**weights, MEDIAN_SHARE: np.array([share], np.float32), MEDIANS: medians.astype(np.float32)}


def forward_checked(
    network: SpatiotemporalDefinition,
    spec: SpatiotemporalSpec,
    weights: Mapping[str, Float32Array],
    frames: Float32Array,
) -> Float32Array:
    """A network's NumPy pass, with a misfit of its arrays told in words.

    Args:
        network: Which.
        spec: Size it was built with.
        weights: As `spatiotemporal_weights` named them.
        frames: `(batch, lookback, rows, columns, channels)`, oldest session first.

    Returns:
        `(batch, rows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the frames.
    """
    try:
        answer = network.forward(spec, weights, frames)
        if MEDIAN_SHARE in weights:
            moved = (np.float32(1.0) - weights[MEDIAN_SHARE]) * (weights[MEDIANS] - answer[..., MEDIAN])
            answer = answer + moved[..., None]
        return answer
    except KeyError as error:
        raise ArtifactError(f"the {network.name}'s weights lack {error.args[0]}; train the artifact again") from error
    except ValueError as error:
        raise ArtifactError(
            f"the {network.name}'s weights do not fit frames of {frames.shape[1:]} ({error}); train the version again"
        ) from error
