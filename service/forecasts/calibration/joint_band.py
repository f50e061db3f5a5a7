"""Updates the joint band from complete paths: forecasts whose last step has just been scored."""

from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from models.calibration import JointState, joint_ratio, learn_joint
from service.db.bulk.row_loader import floats_array, read_columns
from service.db.tables import calibration_states, forecasts, scores
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.calibration.scored import ScoredForecasts
from service.forecasts.calibration.states import JOINT, Lineage

RECENT = timedelta(days=40)
"""How far back the factors of a path are read; older paths use the lineage's current ones."""

DAYS = 252
"""Newest days of ended paths that the band's measured coverage is over."""

PathKey = tuple[int, int, str]
"""Edition, model version and symbol of a path."""
FloatArray = NDArray[np.float64]


def learn_paths(
    connection: Connection, state: JointState, scored: ScoredForecasts, calendar: str, lineage: Lineage
) -> JointState:
    """Return the state after the paths that ended, learned day by day.

    Args:
        connection: The score job's transaction, its scores written.
        state: State before.
        scored: One lineage's newly scored forecasts; a path ends with its last step.
        calendar: Their calendar.
        lineage: Their lineage.
    """
    ended = scored.take(np.flatnonzero(scored.step == lineage.horizon))
    if not len(ended):
        return state
    stored = _read_paths(connection, ended, lineage.horizon)
    issued = _issued(connection, state, ended, calendar, lineage)
    for target in np.unique(ended.target):
        day = ended.take(np.flatnonzero(ended.target == target))
        paths = [stored[key] for key in _keys(day)]
        quantiles = np.stack([quantile for quantile, _ in paths])
        ratios = joint_ratio(quantiles, np.stack([actual for _, actual in paths]))
        state = learn_joint(state, ratios, np.stack([issued[day_of] for day_of in day.as_of.tolist()]))
    return state


def measured_coverage(connection: Connection, state: JointState, calendar: str, lineage: Lineage) -> dict[str, Any]:
    """Return the share of paths inside the band.

    The share is over the newest days on which paths ended.

    Args:
        connection: The score job's transaction.
        state: State after the newest day.
        calendar: The calendar.
        lineage: The lineage.

    Returns:
        `coverage` per level, 0 to 1, each day with equal weight (empty without days); `n`, number of days.
    """
    table = calibration_states.c
    query = (
        select(table.state)
        .where(table.calendar == calendar, table.step == JOINT, table.model_version_id.in_(lineage.versions))
        .order_by(table.as_of.desc(), table.model_version_id.desc())
        .limit(1)
        .offset(DAYS - 1)
    )
    stored = connection.execute(query).scalar_one_or_none()
    before = JointState() if stored is None else JointState.from_dict(stored)
    days = state.days - before.days
    held = zip(state.held, before.held, strict=True)
    return {"n": days, "coverage": [(after - earlier) / days for after, earlier in held] if days else []}


def _keys(scored: ScoredForecasts) -> list[PathKey]:
    return list(zip(scored.edition.tolist(), scored.version.tolist(), scored.symbol.tolist(), strict=True))


def _read_paths(
    connection: Connection, ended: ScoredForecasts, horizon: int
) -> dict[PathKey, tuple[FloatArray, FloatArray]]:
    """Return published quantiles `(horizon, 7)` and actual returns `(horizon,)` of each path.

    A step without a value is NaN.
    """
    revised = scores.alias("revised")
    newest = select(func.max(revised.c.revision)).where(revised.c.forecast_id == forecasts.c.id).scalar_subquery()
    query = (
        select(
            forecasts.c.edition,
            forecasts.c.model_version_id,
            forecasts.c.symbol,
            forecasts.c.step,
            scores.c.actual,
            *(forecasts.c[name] for name in QUANTILE_NAMES),
        )
        .join(scores, scores.c.forecast_id == forecasts.c.id)
        .where(
            forecasts.c.edition.in_(np.unique(ended.edition).tolist()),
            forecasts.c.model_version_id.in_(np.unique(ended.version).tolist()),
            scores.c.revision == newest,
        )
    )
    edition, version, symbol, step, actual, *columns = read_columns(connection, query)
    values, actuals = np.column_stack([floats_array(column) for column in columns]), floats_array(actual)
    empty = (np.full((horizon, len(QUANTILE_NAMES)), np.nan), np.full(horizon, np.nan))
    paths = {key: (empty[0].copy(), empty[1].copy()) for key in _keys(ended)}
    for row, key in enumerate(zip(edition, version, symbol, strict=True)):
        path = paths.get(key)  # type: ignore[arg-type]
        if path is not None:
            place = int(str(step[row])) - 1
            path[0][place], path[1][place] = values[row], actuals[row]
    return paths


def _issued(
    connection: Connection, state: JointState, ended: ScoredForecasts, calendar: str, lineage: Lineage
) -> dict[date, FloatArray]:
    """Return the factors with which the paths of each as_of were issued."""
    table = calibration_states.c
    days: list[date] = np.unique(ended.as_of).tolist()
    query = (
        select(table.as_of, table.state)
        .where(table.calendar == calendar, table.step == JOINT, table.model_version_id.in_(lineage.versions))
        .where(table.as_of >= days[0] - RECENT, table.as_of <= days[-1])
        .order_by(table.as_of, table.model_version_id)
    )
    stored = [(row.as_of, row.state["factors"]) for row in connection.execute(query)]
    factors_of = {}
    for day in days:
        until = [factors for as_of, factors in stored if as_of <= day]
        factors_of[day] = np.asarray(until[-1] if until else state.factors, dtype=np.float64)
    return factors_of
