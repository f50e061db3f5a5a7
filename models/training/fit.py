"""Networks over windows and over market frames behind one face: fitting by name, and what a fitted one answers."""

from collections.abc import Callable

from models.config import Recipe
from models.networks.spatiotemporal.registry import FRAME_ARCHITECTURES
from models.preprocessing.frame import FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.fit_network import EpochEnd, FittedNetwork, fit_network
from models.training.spatiotemporal.fit_network import FittedFrames, fit_frames

Fitted = FittedNetwork | FittedFrames


def fit_recipe(panel: Panel, recipe: Recipe, spans: Spans, report: Callable[[EpochEnd], None]) -> Fitted:
    """Fit what a recipe names: a network over windows, or one over market frames.

    See `fitting.fit_network` and `market_frames.fitting.fit_frames`, which it calls.
    """
    fit = fit_frames if recipe.architecture in FRAME_ARCHITECTURES else fit_network
    return fit(panel, recipe, spans, report)


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
    if isinstance(fitted, FittedFrames):
        kept = fitted.answered(windows)
        return kept, fitted.seed_quantiles(kept)
    return windows, fitted.forecaster.seed_quantiles(windows)
