"""What the versions of a recipe earned live: the part of its evidence that was said before it was known."""

from datetime import timedelta

import numpy as np
from sqlalchemy import Connection, and_, func, select

from models.gate import Evidence, daily_evidence
from models.judging import BASIS_POINT
from models.specs import Strategy
from service.db.tables import editions, forecasts, model_versions, scores
from service.training.repository import RANDOM_WALK
from service.training.standing import RecipeKey

REACH = timedelta(days=420)
"""Calendar days that surely hold 252 sessions of any calendar."""


def live_evidence(connection: Connection, key: RecipeKey, origin: str) -> Evidence:
    """Daily losses of a recipe's scored forecasts beside the random walk's on the same ones.

    The newest score of the last revision counts, of several versions that of the newest. A forecast counts when all
    steps of the strategy are scored, so that the mean of a day is comparable.

    Args:
        connection: Any connection.
        key: The recipe, its group and strategy.
        origin: `live` or `replay`; track records never mix them.

    Returns:
        The last year or so; empty where nothing is scored yet.
    """
    horizon = Strategy(key.strategy).horizon
    own, walk = (_losses(connection, key, origin, walk=each) for each in (False, True))
    whole = [place for place in own if len(own[place]) == len(walk.get(place, {})) == horizon]
    days = np.array([as_of for as_of, _ in whole], "datetime64[D]")
    losses, walks = (
        np.array([BASIS_POINT * sum(each[place].values()) / horizon for place in whole], np.float64)
        for each in (own, walk)
    )
    return daily_evidence(days, losses, walks, horizon)


def _losses(
    connection: Connection, key: RecipeKey, origin: str, *, walk: bool
) -> dict[tuple[object, str], dict[int, float]]:
    """(as_of, symbol) -> pinball by step, of the recipe or of the random walk."""
    versions = and_(
        model_versions.c.group == key.group,
        model_versions.c.strategy == key.strategy,
        model_versions.c.architecture == RANDOM_WALK if walk else model_versions.c.recipe == key.recipe,
    )
    newest = select(func.max(editions.c.as_of)).where(editions.c.origin == origin).scalar_subquery()
    since = connection.execute(select(newest)).scalar_one()
    if since is None:
        return {}
    query = (
        select(forecasts.c.as_of, forecasts.c.symbol, forecasts.c.step, scores.c.pinball)
        .select_from(forecasts)
        .join(editions, editions.c.number == forecasts.c.edition)
        .join(model_versions, model_versions.c.id == forecasts.c.model_version_id)
        .join(scores, scores.c.forecast_id == forecasts.c.id)
        .where(versions, editions.c.origin == origin, editions.c.as_of >= since - REACH, scores.c.state == "scored")
        .order_by(forecasts.c.revision, forecasts.c.model_version_id, scores.c.revision)
    )
    found: dict[tuple[object, str], dict[int, float]] = {}
    for as_of, symbol, step, pinball in connection.execute(query):  # in order: the last one counts
        found.setdefault((as_of, symbol), {})[step] = pinball
    return found
