"""Updates calibration from the scores that the score job has just written.

The update is part of the job's transaction. Every forecast counts once, with its first score: a state stores the id of
the newest score it includes, and the next state starts after it. A later correction changes nothing; a late bar counts
with the session in whose run it was scored. A session with published forecasts keeps its state: later scores count with
the next session.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, exists, func, insert, select

from models.calibration import CalibrationState, StepOutcomes, learn_step
from service.db.bulk.row_loader import days_array, floats_array, read_columns
from service.db.tables import calibration_states, editions, forecasts, scores
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.calibration.joint_band import learn_paths, measured_coverage
from service.forecasts.calibration.scored import ScoredForecasts
from service.forecasts.calibration.states import JOINT, Lineage, read_lineages, read_states
from service.vocabulary import ScoreState

REACH = timedelta(days=420)
"""How far back the first state of a calendar reads a ledger without states."""


def learn_from_scores(connection: Connection, calendar: str, session: date, mode: str) -> int:
    """Write the states as of a session from the scores that no state includes yet.

    Every such score's target session has closed and settled by the session's own instant.

    Args:
        connection: The score job's write transaction, its scores written.
        calendar: Calendar of the forecasts.
        session: The newest session that is final.
        mode: `live` or `replay`; backfills are not learned from.

    Returns:
        The number of scored forecasts that were learned from; 0 if the session already has states or forecasts.
    """
    newest_session, newest_score = _newest_state(connection, calendar)
    if newest_session is not None and newest_session >= session:
        return 0
    if _is_published(connection, calendar, session, mode):
        return 0
    scored = _read(connection, calendar, mode, session, newest_score)
    if not len(scored):
        return 0
    lineages = read_lineages(connection, np.unique(scored.version).tolist())
    newest_of = {version: lineage.newest for version, lineage in lineages.items()}
    by_newest = {lineage.newest: lineage for lineage in lineages.values()}
    before = read_states(connection, by_newest, calendar, session)
    marker = int(scored.score.max())
    latest = scored.latest()
    newest = np.array([newest_of[version] for version in latest.version.tolist()], np.int64)
    rows: list[dict[str, Any]] = []
    for latest_version, lineage in by_newest.items():
        own = latest.take(np.flatnonzero(newest == latest_version))
        after = _learn(before[latest_version], own)
        shared: dict[str, Any] = {"scores": marker}
        if lineage.horizon > 1:
            after = replace(after, joint=learn_paths(connection, after.joint, own, calendar, lineage))
            shared["measured"] = measured_coverage(connection, after.joint, calendar, lineage)
        rows += _rows(after, lineage, calendar, session, shared)
    connection.execute(insert(calibration_states), rows)
    return len(latest)


def _newest_state(connection: Connection, calendar: str) -> tuple[date | None, int]:
    """Return the session of the calendar's newest states, and the newest score they include."""
    table = calibration_states.c
    query = select(table.as_of, table.state).where(table.calendar == calendar).order_by(table.as_of.desc()).limit(1)
    newest = connection.execute(query).one_or_none()
    return (None, 0) if newest is None else (newest.as_of, int(newest.state["scores"]))


def _is_published(connection: Connection, calendar: str, session: date, mode: str) -> bool:
    published = (editions.c.calendar == calendar, editions.c.as_of >= session, editions.c.mode == mode)
    return connection.execute(select(editions.c.number).where(*published).limit(1)).first() is not None


def _read(connection: Connection, calendar: str, mode: str, session: date, newest_score: int) -> ScoredForecasts:
    """Return the forecasts with a first score after a score id."""
    earlier = scores.alias("earlier")
    scored_before = exists().where(
        earlier.c.forecast_id == scores.c.forecast_id,
        earlier.c.revision < scores.c.revision,
        earlier.c.state == ScoreState.SCORED,
    )
    # COALESCE keeps SQLite from starting with all editions of the calendar instead of the few new scores.
    published = (func.coalesce(editions.c.calendar, "") == calendar, func.coalesce(editions.c.mode, "") == mode)
    query = (
        select(
            scores.c.id,
            forecasts.c.model_version_id,
            forecasts.c.edition,
            forecasts.c.revision,
            forecasts.c.step,
            forecasts.c.symbol,
            forecasts.c.as_of,
            forecasts.c.target_session,
            forecasts.c.sigma,
            scores.c.actual,
            *(forecasts.c[f"raw_{name}"] for name in QUANTILE_NAMES),
        )
        .select_from(scores)
        .join(forecasts, forecasts.c.id == scores.c.forecast_id)
        .join(editions, editions.c.number == forecasts.c.edition)
        .where(scores.c.id > newest_score, scores.c.state == ScoreState.SCORED, ~scored_before)
        .where(*published, editions.c.as_of >= session - REACH)
    )
    score, version, edition, revision, step, symbol, as_of, target, sigma, actual, *raw = read_columns(
        connection, query
    )
    return ScoredForecasts(
        score=np.array(score, np.int64),
        version=np.array(version, np.int64),
        edition=np.array(edition, np.int64),
        revision=np.array(revision, np.int64),
        step=np.array(step, np.int64),
        symbol=np.array(symbol, dtype=np.str_),
        as_of=days_array(as_of),
        target=days_array(target),
        sigma=floats_array(sigma),
        actual=floats_array(actual),
        raw=np.column_stack([floats_array(column) for column in raw]),
    )


def _learn(state: CalibrationState, scored: ScoredForecasts) -> CalibrationState:
    """Return the state after learning day by day.

    The forecasts of one target session are one observation of their step.
    """
    steps = list(state.steps)
    for index in range(len(steps)):
        of_step = np.flatnonzero(scored.step == index + 1)
        for target in np.unique(scored.target[of_step]):
            day = of_step[scored.target[of_step] == target]
            outcomes = StepOutcomes(scored.raw[day], scored.sigma[day], scored.actual[day])
            steps[index] = learn_step(steps[index], outcomes, index + 1)
    return replace(state, steps=tuple(steps))


def _rows(
    state: CalibrationState, lineage: Lineage, calendar: str, session: date, shared: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the rows of a lineage's state as of a session; each is complete."""
    parts: dict[int, Mapping[str, Any]] = {step: own.to_dict() for step, own in enumerate(state.steps, start=1)}
    common = {"scores": shared["scores"]}
    rows = [(step, {**part, **common}) for step, part in parts.items()]
    if lineage.horizon > 1:
        rows.append((JOINT, {**state.joint.to_dict(), **shared}))
    key = {"model_version_id": lineage.newest, "calendar": calendar, "as_of": session}
    return [{**key, "step": step, "state": part} for step, part in rows]
