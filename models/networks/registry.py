"""Every network that can be chosen by name, over windows or over market frames."""

from typing import Protocol

from models.networks import WINDOW_NETWORKS, look_up
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS

NETWORKS: tuple[str, ...] = tuple(sorted((*WINDOW_NETWORKS, *SPATIOTEMPORAL_NETWORKS)))
"""Their names."""


class NetworkInfo(Protocol):
    """What is to be known of a network before it is built."""

    @property
    def name(self) -> str:
        """The name in recipes, settings and tables."""
        ...

    def window(self, lookback: int) -> int:
        """Sessions of a window where `lookback` are asked for."""
        ...


def selectable(name: str) -> NetworkInfo:
    """Look a network up.

    Args:
        name: One of `NETWORKS`.

    Raises:
        UnknownNetwork: Nobody registered that name.
    """
    networks: dict[str, NetworkInfo] = {**WINDOW_NETWORKS, **SPATIOTEMPORAL_NETWORKS}
    return look_up(networks, name)


def is_spatiotemporal(name: str) -> bool:
    """Whether a network reads the whole market at once, so that it has no answer to symbols new since training."""
    return name in SPATIOTEMPORAL_NETWORKS
