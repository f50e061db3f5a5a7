"""Starting weights of a refit: those of the version that is served, if they are from data before its test span."""

from collections.abc import Mapping
from datetime import date

import numpy as np

from models.config import ModelConfig
from models.errors import ArtifactError
from models.forecasting.artifact import Artifact, load_artifact
from models.networks.lstm_numpy import Weights
from models.preprocessing.splits import Spans
from models.training.refit_check import Predecessor


def starting_weights(version: Predecessor | None, config: ModelConfig, spans: Spans) -> Mapping[int, Weights]:
    """Return the served weights of each seed; empty if the refit must start from initial weights.

    Args:
        version: The version to start from, None without one.
        config: Config of the refit: only weights of an equal config are returned.
        spans: Spans of the refit. The served weights must have been trained and validated on sessions up to the end
            of its validation span, so that nothing of its test span is in them.
    """
    if version is None:
        return {}
    try:
        artifact = load_artifact(version.path, version.sha256)
    except ArtifactError:
        return {}  # it cannot serve either, which the forecast job reports
    if artifact.config.hash() != config.hash() or set(artifact.weights) != set(config.seeds):
        return {}
    return artifact.weights if _ends_before(artifact, spans) else {}


def _ends_before(artifact: Artifact, spans: Spans) -> bool:
    """Return whether an artifact's train and validation spans end within those of a refit."""
    found = artifact.facts.get("spans") or {}
    for name, own in (("train", spans.train_dates), ("validation", spans.validation_dates)):
        if not found.get(name) or np.datetime64(date.fromisoformat(found[name][1])) > own[1]:
            return False
    return True
