"""Input and output of image frames in both channel layouts."""

from typing import Any

import keras

from models.networks.spatiotemporal.config import SpatiotemporalSpec


def frames_input(spec: SpatiotemporalSpec) -> tuple[Any, Any]:
    """Return an input of image frames, and the same frames with channels last.

    Convolutions on a CPU support only channels last, so frames of the other layout are transposed.

    Args:
        spec: Size and layout.

    Returns:
        The `keras.Input` in the spec's layout, and a tensor `(batch, frames, rows, columns, channels)`.
    """
    if spec.layout == "channels_first":
        inputs = keras.Input((spec.frames, spec.channels, spec.rows, spec.columns), name="frames")
        return inputs, keras.layers.Permute((1, 3, 4, 2))(inputs)
    inputs = keras.Input((spec.frames, spec.rows, spec.columns, spec.channels), name="frames")
    return inputs, inputs


def frames_output(frames: Any, spec: SpatiotemporalSpec) -> Any:
    """Return frames with channels last in the layout of a spec.

    Args:
        frames: Tensor `(batch, horizon, rows, columns, channels)`.
        spec: Gives the layout.
    """
    return keras.layers.Permute((1, 4, 2, 3))(frames) if spec.layout == "channels_first" else frames
