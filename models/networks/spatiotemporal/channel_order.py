"""Plain frames into a network and out of it, in either layout of their channels."""

from typing import Any

import keras

from models.networks.spatiotemporal.config import SpatiotemporalSpec


def plain_frames(spec: SpatiotemporalSpec) -> tuple[Any, Any]:
    """An input of plain frames, and the same with its channels last.

    Convolutions on a CPU know channels last alone, so frames of the other layout are turned on the way in.

    Args:
        spec: Size and layout.

    Returns:
        The `keras.Input` in the spec's layout, and a tensor `(batch, frames, rows, columns, channels)`.
    """
    if spec.layout == "channels_first":
        given = keras.Input((spec.frames, spec.channels, spec.rows, spec.columns), name="frames")
        return given, keras.layers.Permute((1, 3, 4, 2))(given)
    given = keras.Input((spec.frames, spec.rows, spec.columns, spec.channels), name="frames")
    return given, given


def answer_images(frames: Any, spec: SpatiotemporalSpec) -> Any:
    """Frames with their channels last in the layout of the spec.

    Args:
        frames: Tensor `(batch, horizon, rows, columns, channels)`.
        spec: Its layout.
    """
    return keras.layers.Permute((1, 4, 2, 3))(frames) if spec.layout == "channels_first" else frames
