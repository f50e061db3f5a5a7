"""The version that a refit starts from: the served one, if its weights are from data before the refit's test span."""

from datetime import date

import numpy as np

from models.config import ModelConfig
from models.errors import ArtifactError
from models.forecasting.artifact import Artifact, load_artifact
from models.preprocessing.splits import Spans
from models.training.refit_check import Predecessor


def starting_artifact(version: Predecessor | None, config: ModelConfig, spans: Spans) -> Artifact | None:
    """Return the served version, or None if the refit must start from initial weights.

    Args:
        version: The version to start from, None without one.
        config: Config of the refit: only a version of an equal config is returned.
        spans: Spans of the refit. The served weights must have been trained and validated on sessions up to the end
            of its validation span, so that nothing of its test span is in them.
    """
    if version is None:
        return None
    try:
        artifact = load_artifact(version.path, version.sha256)
    except ArtifactError:
        return None  # it cannot serve either, which the forecast job reports
    if artifact.config.hash() != config.hash() or set(artifact.weights) != set(config.seeds):
        return None
    return artifact if _ends_before(artifact, spans) else None


def _ends_before(artifact: Artifact, spans: Spans) -> bool:
    """Return whether an artifact's train and validation spans end within those of a refit."""
    found = artifact.facts.get("spans") or {}
    for name, own in (("train", spans.train_dates), ("validation", spans.validation_dates)):
        if not found.get(name) or np.datetime64(date.fromisoformat(found[name][1])) > own[1]:
            return False
    return True
