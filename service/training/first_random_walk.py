"""Fits a group's random walk at first use, to serve a baseline before any training."""

from datetime import datetime

import numpy as np

from models.config import ModelConfig, Strategy
from models.errors import ArtifactError
from models.forecasting.artifact import load_artifact
from models.phases import Phase
from models.training.tasks import train_forecasters
from models.training.train import TrainedArtifact, TrainRequest
from service.db.change_counters import lock_changes
from service.market.instruments import list_instruments
from service.prices.panel import PanelQuery, load_panel
from service.runs import Run, guard
from service.runtime.context import ServiceContext
from service.training.registry.versions import ModelVersion, Recorded, add_random_walk, serving_versions
from service.vocabulary import RANDOM_WALK


def ensure_random_walk(context: ServiceContext, run: Run, group: str, cut_at: datetime) -> None:
    """Fit and record a group's random walks unless they exist and can be loaded.

    Args:
        context: The service's parts.
        run: The claimed run; the write is fenced by it.
        group: The training group.
        cut_at: Only bars final by this market-time instant are used.
    """
    with context.database.reading() as connection:
        versions = serving_versions(connection, group)
    newest = {version.strategy: version for version in versions if not version.is_network}
    if len(newest) == len(Strategy) and all(_can_load(context, walk) for walk in newest.values()):
        return
    trained = fit_random_walks(context, group, cut_at)
    with context.database.transaction() as connection:
        guard(connection, run)
        lock_changes(connection)
        recorded = Recorded.by(run, context.market.now(connection), context.machine.now(connection))
        for walk in trained:
            add_random_walk(connection, group, walk, cut_at, recorded)


def fit_random_walks(context: ServiceContext, group: str, cut_at: datetime) -> tuple[TrainedArtifact, ...]:
    """Fit and save the random walk of each strategy in the warm worker.

    It is not recorded. A random walk reads no reference series, so none is loaded.

    Args:
        context: The service's parts.
        group: The training group.
        cut_at: Only bars final by this market-time instant (inclusive) are used.
    """
    with Phase("read bars") as reading, context.database.reading() as connection:
        members = list_instruments(connection, group=group, active=True)
        symbols = tuple(member.symbol for member in members if member.has_bars)
        panel = load_panel(connection, PanelQuery(symbols, (), cut_at, context.calendars.settle))
        reading.rows = panel.bars
    cut = np.datetime64(cut_at.replace(tzinfo=None), "s")
    store = context.settings.artifact_dir
    requests = tuple(TrainRequest(panel, ModelConfig(RANDOM_WALK, strategy), cut, store) for strategy in Strategy)
    return context.warm.run(train_forecasters, requests)


def _can_load(context: ServiceContext, walk: ModelVersion) -> bool:
    """Return whether a random walk's artifact can be loaded.

    Without it a group has no forecast.
    """
    try:
        load_artifact(walk.folder(context.settings.artifact_dir), walk.sha256)
    except ArtifactError as error:
        context.reporter.notice(f"the random walk of {walk.group} is fitted again: {error}")
        return False
    return True
