"""The seeds of one network: their weights in the order of the config, and the mean that is served."""

from collections.abc import Mapping

from models.config import ModelConfig
from models.errors import ArtifactError
from models.networks.lstm_numpy import Weights
from models.preprocessing.price_history import FloatArray


def weights_in_order(config: ModelConfig, weights: Mapping[int, Weights]) -> list[Weights]:
    """Return the arrays of each seed, in the order of the config's seeds.

    Raises:
        ArtifactError: The weights have other seeds than the config.
    """
    if set(weights) != set(config.seeds):
        raise ArtifactError(
            f"the config has the seeds {sorted(config.seeds)}, the weights {sorted(weights)}; train the version again"
        )
    return [weights[seed] for seed in config.seeds]


def mean_over_seeds(seeds: list[FloatArray]) -> FloatArray:
    """Return the mean of the seeds, quantile by quantile: the served forecast."""
    mean: FloatArray = sum(seeds[1:], start=seeds[0]) / len(seeds)
    return mean
