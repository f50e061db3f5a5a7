"""All networks that can be chosen by name, over windows and spatiotemporal ones."""

from typing import Protocol

from models.networks import WINDOW_NETWORKS, look_up
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS

NETWORKS: tuple[str, ...] = tuple(sorted((*WINDOW_NETWORKS, *SPATIOTEMPORAL_NETWORKS)))
"""Names of all registered networks, sorted."""


class NetworkInfo(Protocol):
    """Properties of a network that are known before it is built."""

    @property
    def name(self) -> str:
        """Its name in model configs, settings and tables."""
        ...

    def window(self, lookback: int) -> int:
        """Return the sessions of a window for a configured lookback."""
        ...


def network_info(name: str) -> NetworkInfo:
    """Return the properties of a network by name.

    Args:
        name: One of `NETWORKS`.

    Raises:
        UnknownNetwork: The name is not registered.
    """
    networks: dict[str, NetworkInfo] = {**WINDOW_NETWORKS, **SPATIOTEMPORAL_NETWORKS}
    return look_up(networks, name)


def is_spatiotemporal(name: str) -> bool:
    """Return whether a network reads all symbols of a market in one image, and so forecasts only trained symbols."""
    return name in SPATIOTEMPORAL_NETWORKS
