"""Compare a refit with the version that it replaces, on sessions that neither was trained or validated on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.config import PURGE
from models.errors import ArtifactError
from models.forecasting.artifact import load_artifact
from models.forecasting.ensemble import mean_over_seeds
from models.forecasting.network_forecaster import NetworkForecaster, build_forecaster
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster
from models.forecasting.spatiotemporal.layout import NO_ROW
from models.metrics.scoring_rules import pinball
from models.preprocessing.price_history import DateArray, FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import IntArray, PooledWindows
from models.training.fit import Fitted, forecast_windows
from models.training.holdout import BASIS_POINT, actual_returns
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The model version that is served now.

    Attributes:
        path: Folder of its artifact.
        sha256: Hash of its artifact, stored apart from it.
        version: Its number, repeated in the result: the served version may change while a refit is trained.
    """

    path: Path
    sha256: str
    version: int = 0


def compare_with_predecessor(panel: Panel, predecessor: Predecessor, fitted: Fitted, spans: Spans) -> dict[str, Any]:
    """Compare a refit with its predecessor on the refit's test span.

    Sessions that the predecessor was validated on, or that share a target with those, are left out.

    Args:
        panel: Price histories and references.
        predecessor: The version that is served now.
        fitted: The refit.
        spans: The spans that the refit was fitted on.

    Returns:
        JSON-serializable: `version`, the predecessor's number; `n` compared forecasts, `pinball` of the refit and
        `predecessor_pinball`, basis points, mean over steps. If the predecessor cannot forecast, only `version`
        and `error`, the message.
    """
    return {"version": predecessor.version, **_comparison(panel, predecessor, fitted, spans)}


def _comparison(panel: Panel, predecessor: Predecessor, fitted: Fitted, spans: Spans) -> dict[str, Any]:
    try:
        artifact = load_artifact(predecessor.path, predecessor.sha256)
        forecaster = build_forecaster(artifact)
    except ArtifactError as error:
        return {"error": str(error)}
    if (
        not isinstance(forecaster, NetworkForecaster | SpatiotemporalForecaster)
        or forecaster.config.horizon != fitted.forecaster.config.horizon
    ):
        return {"error": f"it is a {forecaster.config.forecaster} of {forecaster.config.horizon} steps"}
    refit_windows, refit_seeds = forecast_windows(fitted, fitted.windows.select(spans.test))
    unseen = np.flatnonzero(_unseen(refit_windows.as_of, artifact.facts))
    predecessor_windows, predecessor_quantiles = _predecessor_forecasts(forecaster, panel)
    refit_rows, predecessor_rows = _common_rows(refit_windows.select(unseen), predecessor_windows)
    if not len(refit_rows):
        return {"n": 0, "pinball": None, "predecessor_pinball": None}
    refit_quantiles = mean_over_seeds(refit_seeds)[unseen[refit_rows]]
    refit_windows = refit_windows.select(unseen[refit_rows])
    predecessor_windows = predecessor_windows.select(predecessor_rows)
    return {
        "n": len(refit_windows),
        "pinball": _loss(refit_windows, refit_quantiles),
        "predecessor_pinball": _loss(predecessor_windows, predecessor_quantiles(predecessor_windows)),
    }


def _predecessor_forecasts(
    forecaster: NetworkForecaster | SpatiotemporalForecaster, panel: Panel
) -> tuple[PooledWindows, Callable[[PooledWindows], FloatArray]]:
    """Return the windows that a predecessor can forecast, and the function that forecasts some of them."""
    if isinstance(forecaster, NetworkForecaster):
        return forecaster.pipeline.windows(panel, require_targets=True), forecaster.quantiles
    pipeline = forecaster.pipeline
    inputs, rows = pipeline.windows.windows(panel, require_targets=False), pipeline.layout.rows_of(panel)
    complete = ~np.isnan(inputs.targets).any(axis=1) & (rows[inputs.symbol_index] != NO_ROW)
    windows = inputs.select(complete)
    return windows, FittedSpatiotemporalNetwork(forecaster, windows, inputs, rows, (), ()).quantiles


def _unseen(as_of: DateArray, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return which as_of sessions are more than `PURGE` sessions after a version's validation span."""
    spans = facts.get("spans") or {}
    if not spans.get("validation"):
        return np.zeros(len(as_of), dtype=np.bool_)
    # Targets of the validation span reach PURGE sessions beyond it. The holidays are unknown here: twice as many
    # weekdays are enough on every calendar, and leaving out a few more sessions does no harm.
    purged = np.busday_offset(np.datetime64(spans["validation"][1], "D"), 2 * PURGE, roll="forward")
    unseen: NDArray[np.bool_] = as_of > purged
    return unseen


def _common_rows(first: PooledWindows, second: PooledWindows) -> tuple[IntArray, IntArray]:
    """Return the positions in both of the windows that have the same symbol and as_of session."""
    keys, other_keys = ((windows.symbol_index << 20) + windows.as_of.astype(np.int64) for windows in (first, second))
    _, in_first, in_second = np.intersect1d(keys, other_keys, assume_unique=True, return_indices=True)
    return in_first.astype(np.int64), in_second.astype(np.int64)


def _loss(windows: PooledWindows, quantiles: FloatArray) -> float:
    return float(BASIS_POINT * pinball(actual_returns(windows), quantiles).mean())
