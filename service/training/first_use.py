"""A group's random walk, fitted at first use so that something honest serves before any training."""

from datetime import datetime

from models.specs import Strategy
from service.context import ServiceContext
from service.runs import Run, guard
from service.training.repository import current_version
from service.training.train import Fitting, fit, group_symbols, record


def ensure_random_walk(context: ServiceContext, run: Run, group: str, cut_at: datetime) -> None:
    """Fit and record a group's random walks unless they are there.

    Args:
        context: The service's parts.
        run: The claimed run on whose behalf it is done; the write is fenced by it.
        group: The training group.
        cut_at: Only bars final by this market-time instant are used.
    """
    with context.database.reading() as connection:
        if all(current_version(connection, group, s.value, network=False) is not None for s in Strategy):
            return
        symbols = group_symbols(connection, group)
    fitting = Fitting(group, symbols, cut_at, networks=False)
    trained = fit(context, fitting, context.warm)
    with context.database.transaction() as connection:
        guard(connection, run)
        record(context, connection, fitting, trained, run)
