"""Networks over windows by name. Keras is imported only when a network is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from models.config import MAX_LOOKBACK
from models.errors import UnknownNetwork
from models.networks.config import NetworkSpec
from models.networks.linear_numpy import forward_linear
from models.networks.lstm_numpy import Weights, forward_lstm
from models.networks.sequences_numpy import forward_encoder_decoder, forward_stacked_lstm
from models.networks.stateful_lstm_numpy import forward_stateful_lstm
from models.preprocessing.windows import Float32Array

Network = TypeVar("Network")


@dataclass(frozen=True, slots=True)
class NetworkDefinition:
    """A registered network.

    Attributes:
        name: Its name in model configs, settings and tables.
        build: Builds a `keras.Model` `(batch, lookback, features) -> (batch, horizon, 7)`; imports Keras.
        weights: Copies the arrays of a model, by name.
        forward: Forward pass of the same network in NumPy, from those arrays.
        warm_up: Sessions of a window before the configured lookback, which rebuild the state of a stateful network; 0
            for other networks.
    """

    name: str
    build: Callable[[NetworkSpec], Any]
    weights: Callable[[Any], Weights]
    forward: Callable[[Mapping[str, Float32Array], Float32Array], Float32Array]
    warm_up: int = 0

    def window(self, lookback: int) -> int:
        """Return the sessions of a window: the warm-up and the lookback, at most `MAX_LOOKBACK`."""
        return min(self.warm_up + lookback, MAX_LOOKBACK)


def _lazy_function(module: str, function: str) -> Callable[[Any], Any]:
    """Return a function of a module that imports Keras; the module is imported when the function is called."""

    def call(argument: Any) -> Any:
        return getattr(import_module(f"{__name__}.{module}"), function)(argument)

    return call


def _window_network(
    name: str, forward: Callable[[Mapping[str, Float32Array], Float32Array], Float32Array], warm_up: int = 0
) -> NetworkDefinition:
    """Return the network of the module `name`, which has `build_<name>` and `<name>_weights`."""
    build, weights = _lazy_function(name, f"build_{name}"), _lazy_function(name, f"{name}_weights")
    return NetworkDefinition(name, build, weights, forward, warm_up)


WINDOW_NETWORKS: Mapping[str, NetworkDefinition] = {
    "lstm": _window_network("lstm", forward_lstm),
    "linear": _window_network("linear", forward_linear),
    "stacked_lstm": _window_network("stacked_lstm", forward_stacked_lstm),
    "encoder_decoder": _window_network("encoder_decoder", forward_encoder_decoder),
    "stateful_lstm": _window_network("stateful_lstm", forward_stateful_lstm, warm_up=35),
}
"""The registered networks over windows."""


def get_network(name: str) -> NetworkDefinition:
    """Return a network by name.

    Args:
        name: A key of `WINDOW_NETWORKS`.

    Raises:
        UnknownNetwork: The name is not registered.
    """
    return look_up(WINDOW_NETWORKS, name)


def look_up(networks: Mapping[str, Network], name: str, kind: str = "network") -> Network:
    """Return the network of a name; the error message calls the networks `kind`.

    Raises:
        UnknownNetwork: The name is not among them.
    """
    if name not in networks:
        raise UnknownNetwork(f"there is no {kind} named {name!r}; choose one of: {', '.join(sorted(networks))}")
    return networks[name]
