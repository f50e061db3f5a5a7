"""Applies the gate to a config: tests its training evidence and its live scores."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from sqlalchemy import Connection, and_, case, func, or_, select

from models.config import Strategy
from models.gate import Evidence, evaluate_config, live_loss_reason
from models.training.holdout import BASIS_POINT
from service.db.bulk.row_loader import days_array, floats_array, read_columns
from service.db.tables import editions, forecasts, instruments, model_versions, scores
from service.training.registry.approvals import ConfigKey, read_approval, record_attempt, record_withdrawal
from service.training.registry.versions import Recorded
from service.vocabulary import RANDOM_WALK, ApprovalKind

REACH = timedelta(days=420)
"""Calendar days that include 252 sessions of any calendar."""


def live_evidence_by_config(
    connection: Connection, keys: Iterable[ConfigKey], evidence: Mapping[ConfigKey, Evidence], mode: str
) -> dict[ConfigKey, Evidence]:
    """Return the live evidence of configs.

    It is read before the write transaction, which must be short.

    Args:
        connection: Any connection.
        keys: The configs.
        evidence: Walk-forward folds of those with a new attempt.
        mode: Mode of the live scores.

    Returns:
        Evidence of the configs that are accepted or have a new attempt.
    """
    tested = [key for key in keys if key in evidence or read_approval(connection, key).accepted]
    return {key: live_evidence(connection, key, mode) for key in dict.fromkeys(tested)}


def update_approval(
    connection: Connection, key: ConfigKey, evidence: Evidence | None, live: Evidence | None, recorded: Recorded
) -> None:
    """Test a config on new evidence, or withdraw an accepted one that loses live.

    Otherwise nothing changes.

    Args:
        connection: The train job's write transaction.
        key: The config.
        evidence: Its walk-forward folds; None without a new attempt.
        live: Its live scores, see `live_evidence_by_config`; None if they were not read.
        recorded: Instants and run of the decision.
    """
    approval = read_approval(connection, key)
    if approval.accepted:
        reason = None if live is None else live_loss_reason(live)
        if reason is not None:
            record_withdrawal(connection, key, ApprovalKind.LIVE, reason, recorded)
    elif evidence is not None and approval.may_attempt:
        combined = evidence if live is None else evidence.with_later(live)
        record_attempt(connection, key, combined, evaluate_config(combined, approval.attempts + 1), recorded)


def live_evidence(connection: Connection, key: ConfigKey, mode: str) -> Evidence:
    """Return the daily losses of a config and of the random walk.

    Both are of the same scored forecasts. The newest score of the last revision counts, of several versions that of the
    newest. A forecast counts when all steps of the strategy are scored, so that the mean of a day is comparable. The
    database aggregates: thousands of symbols have millions of scores, and only days are returned.

    Args:
        connection: Any connection.
        key: The config, its group and strategy.
        mode: `live` or `replay`; track records never mix them.

    Returns:
        The last 420 calendar days; empty without scores.
    """
    horizon = Strategy(key.strategy).horizon
    newest = select(func.max(editions.c.as_of)).where(editions.c.mode == mode)
    since = connection.execute(newest).scalar_one()
    if since is None:
        return Evidence(days_array(()), floats_array(()), floats_array(()), horizon)
    # By edition, found by calendar and date: otherwise all scores would be read.
    calendars = select(instruments.c.calendar).where(instruments.c.group == key.group)
    is_walk = model_versions.c.forecaster == RANDOM_WALK
    walk = case((is_walk, 1), else_=0)
    place = (forecasts.c.as_of, forecasts.c.symbol, forecasts.c.step, walk)
    last = (forecasts.c.revision.desc(), forecasts.c.model_version_id.desc(), scores.c.revision.desc())
    ranked = (
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
        .where(or_(is_walk, model_versions.c.config_hash == key.config_hash))
        .where(editions.c.calendar.in_(calendars), editions.c.mode == mode, editions.c.as_of >= since - REACH)
        .subquery()
    )
    own = case((ranked.c.walk == 0, ranked.c.pinball), else_=0.0)
    other = case((ranked.c.walk == 1, ranked.c.pinball), else_=0.0)
    complete = (
        select(ranked.c.as_of, func.sum(own).label("own"), func.sum(other).label("other"))
        .where(ranked.c.place == 1, ranked.c.pinball.is_not(None))  # the newest score may be void or pending
        .group_by(ranked.c.as_of, ranked.c.symbol)
        .having(and_(func.sum(ranked.c.walk) == horizon, func.count() == 2 * horizon))
        .subquery()
    )
    daily = select(complete.c.as_of, func.avg(complete.c.own), func.avg(complete.c.other)).group_by(complete.c.as_of)
    days, losses, walks = read_columns(connection, daily.order_by(complete.c.as_of))
    scale = BASIS_POINT / horizon
    return Evidence(days_array(days), scale * floats_array(losses), scale * floats_array(walks), horizon)
