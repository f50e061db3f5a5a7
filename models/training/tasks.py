"""Tasks for worker processes: top-level functions of plain data, importable by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.errors import ArtifactError
from models.forecaster import ForecastBatch, Forecaster
from models.forecasting.network_forecaster import load_forecaster
from models.phases import Phase
from models.preprocessing.price_history import Panel
from models.training.train import TrainedArtifact, TrainProgress, TrainRequest, train_all

CACHED_FORECASTERS = 64
"""Forecasters that a warm worker keeps loaded: enough for all groups and strategies of a large service."""


@dataclass(frozen=True, slots=True)
class ArtifactReference:
    """A stored artifact to forecast with.

    Attributes:
        key: Key of the forecaster in the result; the caller chooses it.
        path: The artifact's folder.
        sha256: The artifact's hash, stored apart from it.
    """

    key: int
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ForecastTask:
    """One panel to be forecast by several forecasters.

    Attributes:
        panel: Price histories that end at as_of, and the references.
        artifacts: The artifact of each forecaster.
    """

    panel: Panel
    artifacts: tuple[ArtifactReference, ...]


def forecast_panel(task: ForecastTask, _report: Callable[[Any], None]) -> dict[int, ForecastBatch | str]:
    """Forecast a panel.

    An artifact that cannot be loaded, whatever the reason, gives its error message instead of a batch: the others
    forecast nevertheless.
    """
    forecasts: dict[int, ForecastBatch | str] = {}
    for artifact in task.artifacts:
        try:
            with Phase("load models"):
                forecaster = _loaded(artifact.path, artifact.sha256)
        except ArtifactError as error:
            forecasts[artifact.key] = str(error)
        except Exception as error:  # a crafted artifact with the expected hash may break any part of the loading
            forecasts[artifact.key] = f"artifact {artifact.path} cannot be loaded ({error!r}); train it again"
        else:
            with Phase("forecast", rows=len(task.panel.histories)):
                forecasts[artifact.key] = forecaster.forecast(task.panel)
    return forecasts


def train_forecasters(
    requests: tuple[TrainRequest, ...], report: Callable[[TrainProgress], None]
) -> tuple[TrainedArtifact, ...]:
    """Train several forecasters in this process; see `models.training.train.train_all`."""
    return train_all(requests, report)


@lru_cache(maxsize=CACHED_FORECASTERS)
def _loaded(path: Path, sha256: str) -> Forecaster:
    return load_forecaster(path, sha256)
