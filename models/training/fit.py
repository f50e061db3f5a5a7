"""One interface to window and spatiotemporal networks: fitting by name, and forecasts of the fitted network."""

from collections.abc import Callable

from models.config import ModelConfig
from models.forecasting.artifact import Artifact
from models.networks.spatiotemporal.registry import SPATIOTEMPORAL_NETWORKS
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.device import THIS_PROCESS, Compute
from models.training.fit_network import FittedNetwork, fit_network
from models.training.fit_seed import EpochEnd
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork, fit_spatiotemporal

Fitted = FittedNetwork | FittedSpatiotemporalNetwork


def fit_config(
    panel: Panel,
    config: ModelConfig,
    spans: Spans,
    report: Callable[[EpochEnd], None],
    start: Artifact | None = None,
    compute: Compute = THIS_PROCESS,
) -> Fitted:
    """Fit the network that a config names, over windows or spatiotemporal.

    Calls `fit_network.fit_network` or `spatiotemporal.fit_network.fit_spatiotemporal`; see there.
    """
    fit = fit_spatiotemporal if config.forecaster in SPATIOTEMPORAL_NETWORKS else fit_network
    return fit(panel, config, spans, report, start, compute)


def forecast_windows(fitted: Fitted, windows: PooledWindows) -> tuple[PooledWindows, list[FloatArray]]:
    """Return the forecasts of a fitted network for some of its windows.

    Args:
        fitted: The network.
        windows: A selection of `fitted.windows`.

    Returns:
        The windows with a forecast (a spatiotemporal network leaves out symbols without a row), and for each seed
        `(windows, horizon, 7)` cumulative log returns.

    Raises:
        TooLittleHistory: No window is left.
    """
    if isinstance(fitted, FittedSpatiotemporalNetwork):
        forecast = fitted.with_row(windows)
        return forecast, fitted.seed_quantiles(forecast)
    return windows, fitted.forecaster.seed_quantiles(windows)
