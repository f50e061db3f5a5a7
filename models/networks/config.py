"""The size of a network, apart from how it is trained."""

from dataclasses import dataclass

from models.config import ModelConfig


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """What an architecture needs to build one network.

    Attributes:
        lookback: Sessions in a window.
        features: Inputs per session.
        units: Width of the recurrent layer.
        horizon: Steps forecast: 1 or 3.
        seed: Seed of the starting weights.
    """

    lookback: int
    features: int
    units: int
    horizon: int
    seed: int = 0

    @staticmethod
    def of(config: ModelConfig, features: int, seed: int) -> "NetworkSpec":
        """The network that a recipe asks for on `features` inputs per session."""
        return NetworkSpec(config.lookback, features, config.units, config.horizon, seed)
