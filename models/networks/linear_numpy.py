"""NumPy forward pass of the network `linear`."""

from collections.abc import Mapping

from models.config import QUANTILES
from models.errors import ArtifactError
from models.networks.lstm_numpy import spread_quantiles
from models.networks.row_product import row_product
from models.preprocessing.windows import Float32Array


def forward_linear(weights: Mapping[str, Float32Array], windows: Float32Array) -> Float32Array:
    """Return the quantiles of the network `linear` for each window.

    Args:
        weights: `head_kernel (lookback * features, 7 horizon)` and `head_bias (7 horizon,)`.
        windows: `(windows, lookback, features)`, oldest session first.

    Returns:
        `(windows, horizon, 7)` in units of `sigma * sqrt(step)`, ascending along the last axis.

    Raises:
        ArtifactError: An array is absent or does not fit the windows.
    """
    absent = [name for name in ("head_kernel", "head_bias") if name not in weights]
    if absent:
        raise ArtifactError(f"the weights of linear lack {', '.join(absent)}; train the artifact again")
    n, lookback, features = windows.shape
    if len(weights["head_kernel"]) != lookback * features:
        raise ArtifactError(
            f"the network linear was trained on {len(weights['head_kernel'])} inputs, received {lookback} sessions "
            f"of {features}; use the pipeline that is saved with its weights"
        )
    flat = windows.reshape(n, lookback * features)
    raw: Float32Array = row_product(flat, weights["head_kernel"]) + weights["head_bias"]
    return spread_quantiles(raw.reshape(n, -1, len(QUANTILES)))
