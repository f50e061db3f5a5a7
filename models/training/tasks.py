"""Tasks for worker processes: top-level functions of plain data, importable by name."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from models.errors import ArtifactError
from models.forecaster import ForecastBatch, Forecaster
from models.forecasting.artifact import PackedArtifact, unpack_artifact
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
    return {artifact.key: _forecast(task.panel, artifact, _loaded) for artifact in task.artifacts}


def _forecast(
    panel: Panel, artifact: ArtifactReference, load: Callable[[Path, str], Forecaster]
) -> ForecastBatch | str:
    try:
        with Phase("load models"):
            forecaster = load(artifact.path, artifact.sha256)
    except ArtifactError as error:
        return str(error)
    except Exception as error:  # a crafted artifact with the expected hash may break any part of the loading
        return f"artifact {artifact.path} cannot be loaded ({error!r}); train it again"
    with Phase("forecast", rows=len(panel.histories)):
        return forecaster.forecast(panel)


@dataclass(frozen=True, slots=True)
class PackedForecasts:
    """Result of `forecast_packed`.

    Attributes:
        results: As `forecast_panel` returns them.
        sha256: Hash of the forecasts, computed where they were made; see `forecasts_hash`.
    """

    results: dict[int, ForecastBatch | str]
    sha256: str


def forecast_packed(panel: Panel, keys: tuple[int, ...], *artifacts_and_report: Any) -> PackedForecasts:
    """Forecast a panel on a machine that does not have the artifacts.

    Args:
        panel: Price histories that end at as_of, and the references.
        keys: Key of each forecaster in the result.
        artifacts_and_report: The `PackedArtifact` of each key, and last the function that reports.
    """
    packed: tuple[PackedArtifact, ...] = artifacts_and_report[:-1]
    with TemporaryDirectory(prefix="tplus-forecast-") as name:
        references = tuple(
            ArtifactReference(key, unpack_artifact(artifact, Path(name)), artifact.sha256)
            for key, artifact in zip(keys, packed, strict=True)
        )
        results = {reference.key: _forecast(panel, reference, load_forecaster) for reference in references}
    return PackedForecasts(results, forecasts_hash(results))


def forecasts_hash(results: Mapping[int, ForecastBatch | str]) -> str:
    """Return the SHA-256 of forecasts and messages by key."""
    digest = hashlib.sha256()
    for key, result in sorted(results.items()):
        digest.update(f"{key} ".encode())
        if isinstance(result, str):
            digest.update(result.encode())
            continue
        digest.update(repr((result.symbols, result.degraded, result.skipped)).encode())
        for array in (result.quantiles, result.sigma, result.last_close):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def train_forecasters(
    requests: tuple[TrainRequest, ...], report: Callable[[TrainProgress], None]
) -> tuple[TrainedArtifact, ...]:
    """Train several forecasters in this process; see `models.training.train.train_all`."""
    return train_all(requests, report)


@lru_cache(maxsize=CACHED_FORECASTERS)
def _loaded(path: Path, sha256: str) -> Forecaster:
    return load_forecaster(path, sha256)
