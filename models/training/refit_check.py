"""A refit beside the version it follows, on sessions that neither was fitted or stopped on."""

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
from models.forecasting.network_forecaster import NetworkForecaster, forecaster_of
from models.forecasting.spatiotemporal.forecaster import SpatiotemporalForecaster
from models.forecasting.spatiotemporal.layout import NO_ROW
from models.metrics.scoring_rules import pinball
from models.preprocessing.frame import DateArray, FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import IntArray, PooledWindows
from models.training.fit import Fitted, answered
from models.training.holdout import BASIS_POINT, actual_returns
from models.training.spatiotemporal.fit_network import FittedSpatiotemporalNetwork


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The version that serves now.

    Attributes:
        path: Its artifact's folder.
        sha256: Its artifact's hash, kept apart from it.
        version: Its number, told again in the answer: who serves may change while a refit is trained.
    """

    path: Path
    sha256: str
    version: int = 0


def beside_predecessor(panel: Panel, predecessor: Predecessor, fitted: Fitted, spans: Spans) -> dict[str, Any]:
    """Compare a refit with its predecessor on the refit's judging span.

    Sessions that the predecessor was stopped on, or that share a target with those, are left out.

    Args:
        panel: Frames and references.
        predecessor: Where the version is that serves now.
        fitted: The refit.
        spans: Those the refit was fitted on.

    Returns:
        JSON-able: `version`, whom it was compared with; `n` forecasts compared, `pinball` of the refit and
        `predecessor_pinball`, basis points, mean over steps; `error`, the sentence, where the predecessor cannot be
        asked, in place of all but `version`.
    """
    return {"version": predecessor.version, **_compared(panel, predecessor, fitted, spans)}


def _compared(panel: Panel, predecessor: Predecessor, fitted: Fitted, spans: Spans) -> dict[str, Any]:
    try:
        artifact = load_artifact(predecessor.path, predecessor.sha256)
        former = forecaster_of(artifact)
    except ArtifactError as error:
        return {"error": str(error)}
    if (
        not isinstance(former, NetworkForecaster | SpatiotemporalForecaster)
        or former.config.horizon != fitted.forecaster.config.horizon
    ):
        return {"error": f"it is a {former.config.forecaster} of {former.config.horizon} steps"}
    judged, each = answered(fitted, fitted.windows.select(spans.test))
    unseen = np.flatnonzero(_unseen(judged.as_of, artifact.facts))
    others, answer = _asked(former, panel)
    mine, theirs = _common_rows(judged.select(unseen), others)
    if not len(mine):
        return {"n": 0, "pinball": None, "predecessor_pinball": None}
    quantiles = mean_over_seeds(each)[unseen[mine]]
    judged, others = judged.select(unseen[mine]), others.select(theirs)
    own, before = _loss(judged, quantiles), _loss(others, answer(others))
    return {"n": len(judged), "pinball": own, "predecessor_pinball": before}


def _asked(
    former: NetworkForecaster | SpatiotemporalForecaster, panel: Panel
) -> tuple[PooledWindows, Callable[[PooledWindows], FloatArray]]:
    """The windows that a predecessor can be asked for, and what answers some of them."""
    if isinstance(former, NetworkForecaster):
        return former.pipeline.windows(panel, require_targets=True), former.quantiles
    seen, rows = former.pipeline.windows.windows(panel, require_targets=False), former.pipeline.layout.rows_of(panel)
    known = ~np.isnan(seen.targets).any(axis=1) & (rows[seen.symbol_index] != NO_ROW)
    windows = seen.select(known)
    return windows, FittedSpatiotemporalNetwork(former, windows, seen, rows, (), ()).quantiles


def _unseen(as_of: DateArray, facts: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which as_of sessions lie more than `PURGE` sessions after those a version was stopped on."""
    spans = facts.get("spans") or {}
    if not spans.get("validation"):
        return np.zeros(len(as_of), dtype=np.bool_)
    # Targets of the stopping span reach PURGE sessions beyond it. Holidays are not known here: twice as many weekdays
    # are enough on every calendar, and a few sessions less do no harm.
    purged = np.busday_offset(np.datetime64(spans["validation"][1], "D"), 2 * PURGE, roll="forward")
    unseen: NDArray[np.bool_] = as_of > purged
    return unseen


def _common_rows(mine: PooledWindows, others: PooledWindows) -> tuple[IntArray, IntArray]:
    """Places in both of the windows that are of one symbol and as_of session."""
    own, their = ((each.symbol_index << 20) + each.as_of.astype(np.int64) for each in (mine, others))
    _, first, second = np.intersect1d(own, their, assume_unique=True, return_indices=True)
    return first.astype(np.int64), second.astype(np.int64)


def _loss(windows: PooledWindows, quantiles: FloatArray) -> float:
    return float(BASIS_POINT * pinball(actual_returns(windows), quantiles).mean())
