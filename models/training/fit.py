"""Networks over windows and over market frames behind one face: fitting by name, and what a fitted one answers."""

from collections.abc import Callable

from models.config import ModelConfig
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS
from models.preprocessing.frame import FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.fit_network import EpochEnd, FittedNetwork, fit_network
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork, fit_spatiotemporal

Fitted = FittedNetwork | FittedSpatiotemporalNetwork


def fit_config(panel: Panel, config: ModelConfig, spans: Spans, report: Callable[[EpochEnd], None]) -> Fitted:
    """Fit what a recipe names: a network over windows, or one over market frames.

    See `fitting.fit_network` and `market_images.fitting.fit_spatiotemporal`, which it calls.
    """
    fit = fit_spatiotemporal if config.forecaster in SPATIOTEMPORAL_NETWORKS else fit_network
    return fit(panel, config, spans, report)


def answered(fitted: Fitted, windows: PooledWindows) -> tuple[PooledWindows, list[FloatArray]]:
    """What a fitted network answers to some of its windows.

    Args:
        fitted: The network.
        windows: Chosen from `fitted.windows`.

    Returns:
        The windows it has an answer to (a network over market frames leaves out symbols without a row), and for each
        seed `(windows, horizon, 7)` cumulative log returns.

    Raises:
        TooLittleHistory: No window is left.
    """
    if isinstance(fitted, FittedSpatiotemporalNetwork):
        kept = fitted.answered(windows)
        return kept, fitted.seed_quantiles(kept)
    return windows, fitted.forecaster.seed_quantiles(windows)
