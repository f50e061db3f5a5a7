"""Every network by name. Keras is imported only when one is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import UnknownArchitecture
from models.networks.forward import Weights, forward_lstm
from models.networks.spec import NetworkSpec
from models.windows import Float32Array


@dataclass(frozen=True, slots=True)
class Architecture:
    """One way through a network.

    Attributes:
        name: The name in recipes, settings and tables.
        build: Makes a `keras.Model` `(batch, lookback, features) -> (batch, horizon, 7)`; imports Keras.
        weights: Copies a model's arrays out by name.
        forward: The same network in NumPy, from those arrays.
    """

    name: str
    build: Callable[[NetworkSpec], Any]
    weights: Callable[[Any], Weights]
    forward: Callable[[Mapping[str, Float32Array], Float32Array], Float32Array]


def _build_lstm(spec: NetworkSpec) -> Any:
    from models.networks.lstm import build_lstm

    return build_lstm(spec)


def _lstm_weights(model: Any) -> Weights:
    from models.networks.lstm import lstm_weights

    return lstm_weights(model)


ARCHITECTURES: Mapping[str, Architecture] = {
    "lstm": Architecture("lstm", _build_lstm, _lstm_weights, forward_lstm),
}
"""The registered networks."""


def architecture(name: str) -> Architecture:
    """Look a network up.

    Args:
        name: A key of `ARCHITECTURES`.

    Raises:
        UnknownArchitecture: Nobody registered that name.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UnknownArchitecture(f"there is no network named {name!r}; choose one of: {known}") from None
