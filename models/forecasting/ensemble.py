"""The seeds of one network side by side: their weights in the recipe's order, and the mean that is served."""

from collections.abc import Mapping

from models.config import ModelConfig
from models.errors import ArtifactError
from models.networks.lstm_numpy import Weights
from models.preprocessing.frame import FloatArray


def weights_in_order(config: ModelConfig, weights: Mapping[int, Weights]) -> list[Weights]:
    """The arrays of each seed, in the order of the recipe's seeds.

    Raises:
        ArtifactError: The weights are of other seeds than the recipe's.
    """
    if set(weights) != set(config.seeds):
        raise ArtifactError(
            f"the recipe has the seeds {sorted(config.seeds)}, the weights {sorted(weights)}; train it again"
        )
    return [weights[seed] for seed in config.seeds]


def mean_over_seeds(each: list[FloatArray]) -> FloatArray:
    """What is served: the mean of the seeds, quantile by quantile."""
    mean: FloatArray = sum(each[1:], start=each[0]) / len(each)
    return mean
