"""Applies the gate: tests a config on the evidence of a training and on its live scores."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from sqlalchemy import Connection, and_, case, func, or_, select

from models.config import Strategy
from models.gate import Evidence, evaluate_config, live_loss_reason
from models.training.holdout import BASIS_POINT
from service.db.bulk.row_loader import days_array, floats_array, read_columns
from service.db.tables import editions, forecasts, instruments, model_versions, scores
from service.training.registry.approvals import LIVE, ConfigKey, read_approval, record_attempt, record_loss
from service.training.registry.versions import Recorded
from service.vocabulary import RANDOM_WALK, ScoreState

REACH = timedelta(days=420)
"""Calendar days that include 252 sessions of any calendar."""


def live_of(
    connection: Connection, keys: Iterable[ConfigKey], evidence: Mapping[ConfigKey, Evidence], mode: str
) -> dict[ConfigKey, Evidence]:
    """Return the live scores of configs; read before the write transaction, which must be short.

    Args:
        connection: Any connection.
        keys: The configs.
        evidence: Walk-forward folds of those with a new attempt.
        mode: Mode of the live scores.

    Returns:
        Evidence of the configs that are accepted or have a new attempt.
    """
    wanted = [key for key in keys if key in evidence or read_approval(connection, key).accepted]
    return {key: live_evidence(connection, key, mode) for key in dict.fromkeys(wanted)}


def update_approval(
    connection: Connection, key: ConfigKey, evidence: Evidence | None, live: Evidence | None, recorded: Recorded
) -> None:
    """Test a config on new evidence, or withdraw an accepted one that loses live; else nothing changes.

    Args:
        connection: The train job's write transaction.
        key: The config.
        evidence: Its walk-forward folds; None without a new attempt.
        live: Its live scores, see `live_of`; None if they were not read.
        recorded: When and by which run.
    """
    approval = read_approval(connection, key)
    if approval.accepted:
        sentence = None if live is None else live_loss_reason(live)
        if sentence is not None:
            record_loss(connection, key, LIVE, sentence, recorded)
    elif evidence is not None and approval.may_attempt:
        together = evidence if live is None else evidence.with_later(live)
        record_attempt(connection, key, together, evaluate_config(together, approval.attempts + 1), recorded)


def live_evidence(connection: Connection, key: ConfigKey, mode: str) -> Evidence:
    """Return daily losses of a config's scored forecasts and the random walk's on the same ones.

    The newest score of the last revision counts, of several versions that of the newest. A forecast counts when all
    steps of the strategy are scored, so that the mean of a day is comparable. The database aggregates: thousands of
    symbols have millions of scores, and only days are returned.

    Args:
        connection: Any connection.
        key: The config, its group and strategy.
        mode: `live` or `replay`; track records never mix them.

    Returns:
        The last year or so; empty without scores.
    """
    horizon = Strategy(key.strategy).horizon
    newest = select(func.max(editions.c.as_of)).where(editions.c.mode == mode)
    since = connection.execute(newest).scalar_one()
    if since is None:
        return Evidence(days_array(()), floats_array(()), floats_array(()), horizon)
    # By edition, found by calendar and date: otherwise all scores would be read.
    calendars = select(instruments.c.calendar).where(instruments.c.group == key.group)
    of_walk = model_versions.c.forecaster == RANDOM_WALK
    walk = case((of_walk, 1), else_=0)
    place = (forecasts.c.as_of, forecasts.c.symbol, forecasts.c.step, walk)
    last = (forecasts.c.revision.desc(), forecasts.c.model_version_id.desc(), scores.c.revision.desc())
    told = (
        select(
            forecasts.c.as_of,
            forecasts.c.symbol,
            walk.label("walk"),
            scores.c.pinball,
            func.row_number().over(partition_by=place, order_by=last).label("place"),
        )
        .select_from(editions)
        .join(forecasts, forecasts.c.edition == editions.c.number)
        .join(model_versions, model_versions.c.id == forecasts.c.model_version_id)
        .join(scores, scores.c.forecast_id == forecasts.c.id)
        .where(model_versions.c.group == key.group, model_versions.c.strategy == key.strategy)
        .where(or_(of_walk, model_versions.c.config_hash == key.config_hash))
        .where(editions.c.calendar.in_(calendars), editions.c.mode == mode, editions.c.as_of >= since - REACH)
        .where(and_(scores.c.state == ScoreState.SCORED, scores.c.pinball.is_not(None)))
        .subquery()
    )
    own = case((told.c.walk == 0, told.c.pinball), else_=0.0)
    other = case((told.c.walk == 1, told.c.pinball), else_=0.0)
    whole = (
        select(told.c.as_of, func.sum(own).label("own"), func.sum(other).label("other"))
        .where(told.c.place == 1)
        .group_by(told.c.as_of, told.c.symbol)
        .having(and_(func.sum(told.c.walk) == horizon, func.count() == 2 * horizon))
        .subquery()
    )
    daily = select(whole.c.as_of, func.avg(whole.c.own), func.avg(whole.c.other)).group_by(whole.c.as_of)
    days, losses, walks = read_columns(connection, daily.order_by(whole.c.as_of))
    scale = BASIS_POINT / horizon
    return Evidence(days_array(days), scale * floats_array(losses), scale * floats_array(walks), horizon)
