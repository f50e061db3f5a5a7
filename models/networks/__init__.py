"""Every network by name. Keras is imported only when one is built."""

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
    """One way through a network.

    Attributes:
        name: The name in recipes, settings and tables.
        build: Makes a `keras.Model` `(batch, lookback, features) -> (batch, horizon, 7)`; imports Keras.
        weights: Copies a model's arrays out by name.
        forward: The same network in NumPy, from those arrays.
        warm_up: Sessions that a window has in front of the lookback asked for, to rebuild a carried state; 0
            where no state is carried.
    """

    name: str
    build: Callable[[NetworkSpec], Any]
    weights: Callable[[Any], Weights]
    forward: Callable[[Mapping[str, Float32Array], Float32Array], Float32Array]
    warm_up: int = 0

    def window(self, lookback: int) -> int:
        """Sessions of a window where `lookback` are asked for: the warm-up too, at most `MAX_LOOKBACK` in all."""
        return min(self.warm_up + lookback, MAX_LOOKBACK)


def _later(module: str, function: str) -> Callable[[Any], Any]:
    """A function of one argument in a module of this package that imports Keras: imported when it is called."""

    def call(argument: Any) -> Any:
        return getattr(import_module(f"{__name__}.{module}"), function)(argument)

    return call


def _window_network(
    name: str, forward: Callable[[Mapping[str, Float32Array], Float32Array], Float32Array], warm_up: int = 0
) -> NetworkDefinition:
    """The network of the module `name`, which has `build_<name>` and `<name>_weights`."""
    return NetworkDefinition(name, _later(name, f"build_{name}"), _later(name, f"{name}_weights"), forward, warm_up)


WINDOW_NETWORKS: Mapping[str, NetworkDefinition] = {
    "lstm": _window_network("lstm", forward_lstm),
    "linear": _window_network("linear", forward_linear),
    "stacked_lstm": _window_network("stacked_lstm", forward_stacked_lstm),
    "encoder_decoder": _window_network("encoder_decoder", forward_encoder_decoder),
    "stateful_lstm": _window_network("stateful_lstm", forward_stateful_lstm, warm_up=35),
}
"""The registered networks."""


def get_network(name: str) -> NetworkDefinition:
    """Look a network up.

    Args:
        name: A key of `WINDOW_NETWORKS`.

    Raises:
        UnknownNetwork: Nobody registered that name.
    """
    return look_up(WINDOW_NETWORKS, name)


def look_up(networks: Mapping[str, Network], name: str, kind: str = "network") -> Network:
    """The network of a name among those given; `kind` says what they are, for the sentence.

    Raises:
        UnknownNetwork: It is none of them.
    """
    if name not in networks:
        raise UnknownNetwork(f"there is no {kind} named {name!r}; choose one of: {', '.join(sorted(networks))}")
    return networks[name]
