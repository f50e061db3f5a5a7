"""The network `linear`: the flattened window, followed by the quantile head.

`(batch, lookback, features) -> Flatten -> (batch, lookback * features) -> head -> (batch, horizon, 7)`.
It is the baseline for recurrent networks with the same inputs, loss and spans.
"""

from typing import Any

import keras

from models.networks.config import NetworkSpec
from models.networks.head import HEAD_LAYER, quantile_head
from models.networks.lstm_numpy import Weights


def build_linear(spec: NetworkSpec) -> Any:
    """Build the network with seeded initial weights.

    Args:
        spec: Size and seed; `units` is not used.

    Returns:
        A `keras.Model` from `(batch, lookback, features)` to `(batch, horizon, 7)`.
    """
    window = keras.Input((spec.lookback, spec.features), name="window")
    flat = keras.layers.Flatten()(window)
    return keras.Model(window, quantile_head(flat, spec.horizon, spec.seed), name="linear")


def linear_weights(model: Any) -> Weights:
    """Return copies of the trained arrays under the names that `forward_linear` reads.

    Args:
        model: A model of `build_linear`.

    Returns:
        `head_kernel (lookback * features, 7 horizon)` and `head_bias (7 horizon,)`, float32.
    """
    names = ("head_kernel", "head_bias")
    return dict(zip(names, model.get_layer(HEAD_LAYER).get_weights(), strict=True))
