"""The size of a network, apart from how it is trained."""

from dataclasses import dataclass

from models.config import ModelConfig


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Size and seed of one network.

    Attributes:
        lookback: Sessions in a window.
        features: Inputs per session.
        units: Width of the recurrent layer.
        horizon: Number of steps forecast: 1 or 3.
        seed: Seed of the initial weights.
    """

    lookback: int
    features: int
    units: int
    horizon: int
    seed: int = 0

    @staticmethod
    def of(config: ModelConfig, features: int, seed: int) -> "NetworkSpec":
        """Return the spec for a model config with `features` inputs per session."""
        return NetworkSpec(config.lookback, features, config.units, config.horizon, seed)
