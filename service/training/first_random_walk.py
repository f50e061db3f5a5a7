"""A group's random walk, fitted at first use so that something honest serves before any training."""

from datetime import datetime

from models.config import Strategy
from models.errors import ArtifactError
from models.forecasting.artifact import load_artifact
from service.runs import Run, guard
from service.runtime.context import ServiceContext
from service.training.registry.versions import ModelVersion, current_version
from service.training.train_job import Fitting, fit, group_symbols, record


def ensure_random_walk(context: ServiceContext, run: Run, group: str, cut_at: datetime) -> None:
    """Fit and record a group's random walks unless they are there and can be loaded.

    Args:
        context: The service's parts.
        run: The claimed run on whose behalf it is done; the write is fenced by it.
        group: The training group.
        cut_at: Only bars final by this market-time instant are used.
    """
    with context.database.reading() as connection:
        walks = [current_version(connection, group, strategy.value, network=False) for strategy in Strategy]
        symbols = group_symbols(connection, group)
    if all(walk is not None and _loads(context, walk) for walk in walks):
        return
    fitting = Fitting(group, symbols, cut_at, networks=False)
    trained = fit(context, fitting, context.warm)
    with context.database.transaction() as connection:
        guard(connection, run)
        record(context, connection, fitting, trained, run)


def _loads(context: ServiceContext, walk: ModelVersion) -> bool:
    """Whether a random walk's artifact is whole: without it a group would be without any forecast."""
    try:
        load_artifact(walk.folder(context.settings.artifact_dir), walk.sha256)
    except ArtifactError as error:
        context.reporter.notice(f"the random walk of {walk.group} is fitted anew: {error}")
        return False
    return True
