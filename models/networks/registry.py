"""Every network that can be chosen by name, over windows or over market frames."""

from typing import Protocol

from models.networks import ARCHITECTURES, look_up
from models.networks.spatiotemporal.registry import FRAME_ARCHITECTURES

NETWORKS: tuple[str, ...] = tuple(sorted((*ARCHITECTURES, *FRAME_ARCHITECTURES)))
"""Their names."""


class Selectable(Protocol):
    """What is to be known of a network before it is built."""

    @property
    def name(self) -> str:
        """The name in recipes, settings and tables."""
        ...

    def window(self, lookback: int) -> int:
        """Sessions of a window where `lookback` are asked for."""
        ...


def selectable(name: str) -> Selectable:
    """Look a network up.

    Args:
        name: One of `NETWORKS`.

    Raises:
        UnknownArchitecture: Nobody registered that name.
    """
    networks: dict[str, Selectable] = {**ARCHITECTURES, **FRAME_ARCHITECTURES}
    return look_up(networks, name)


def is_over_frames(name: str) -> bool:
    """Whether a network reads the whole market at once, so that it has no answer to symbols new since training."""
    return name in FRAME_ARCHITECTURES
