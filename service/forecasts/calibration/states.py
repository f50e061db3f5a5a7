"""Reads stored calibration states: one for each lineage, calendar and session.

A state belongs to a model config rather than to one version: a refit continues with its predecessor's state. All
versions of one group, strategy and config are a lineage; the next state is stored with the newest version, and the
newest state of any version is the lineage's. States are written once and never changed: the state as of a session is
the one its forecasts were calibrated with.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select

from models.calibration import CalibrationState, JointState, StepState
from models.config import Strategy
from service.db.tables import calibration_states, model_versions

JOINT = 0
"""Step under which the joint band's state is stored."""

_table = calibration_states.c


@dataclass(frozen=True, slots=True)
class Lineage:
    """Versions of one group, strategy and model config.

    Attributes:
        versions: Their ids, ascending.
        horizon: Their steps.
    """

    versions: tuple[int, ...]
    horizon: int

    @property
    def newest(self) -> int:
        """The version with which the next state is stored."""
        return self.versions[-1]


def read_lineages(connection: Connection, versions: Iterable[int]) -> dict[int, Lineage]:
    """Return the lineage of each version.

    A version for backfills is in no lineage but its own.
    """
    own, other = model_versions.alias("own"), model_versions.alias("other")
    same = and_(
        other.c.group == own.c.group, other.c.strategy == own.c.strategy, other.c.config_hash == own.c.config_hash
    )
    shared = or_(other.c.id == own.c.id, ~other.c.for_backfill)
    query = (
        select(own.c.id, own.c.strategy, other.c.id)
        .join(other, and_(same, shared))
        .where(own.c.id.in_(sorted(set(versions))))
        .order_by(own.c.id, other.c.id)
    )
    members: dict[int, list[int]] = defaultdict(list)
    horizons: dict[int, int] = {}
    for version, strategy, member in connection.execute(query):
        members[version].append(member)
        horizons[version] = Strategy(strategy).horizon
    return {version: Lineage(tuple(ids), horizons[version]) for version, ids in members.items()}


def read_states(
    connection: Connection, versions: Iterable[int], calendar: str, as_of: date
) -> dict[int, CalibrationState]:
    """Return the state with which each version's forecasts as of a session are calibrated.

    Args:
        connection: Any connection.
        versions: Ids of model versions.
        calendar: Their forecasts' calendar.
        as_of: States as of later sessions do not count.

    Returns:
        Version -> the newest state of its lineage; without any, the one its training left on the test span; without
        a test span, an empty state.
    """
    lineages = read_lineages(connection, versions)
    stored = _stored(connection, lineages, calendar, as_of)
    without = [version for version in lineages if version not in stored]
    query = select(model_versions.c.id, model_versions.c.metrics).where(model_versions.c.id.in_(without))
    metrics = {row.id: row.metrics for row in connection.execute(query)} if without else {}
    initial = {version: _initial_state(metrics[version], lineages[version].horizon) for version in without}
    return {**stored, **initial}


def _stored(
    connection: Connection, lineages: Mapping[int, Lineage], calendar: str, as_of: date
) -> dict[int, CalibrationState]:
    members = sorted({member for lineage in lineages.values() for member in lineage.versions})
    query = select(_table.model_version_id, func.max(_table.as_of)).where(
        _table.model_version_id.in_(members), _table.calendar == calendar, _table.step == 1, _table.as_of <= as_of
    )
    days = {version: day for version, day in connection.execute(query.group_by(_table.model_version_id))}
    heads: dict[int, int] = {}
    for version, lineage in lineages.items():
        with_state = [member for member in lineage.versions if member in days]
        if with_state:
            heads[version] = max(with_state, key=lambda member: (days[member], member))
    if not heads:
        return {}
    newest = [and_(_table.model_version_id == head, _table.as_of == days[head]) for head in sorted(set(heads.values()))]
    rows = select(_table.model_version_id, _table.step, _table.state).where(_table.calendar == calendar, or_(*newest))
    parts: dict[int, dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for head, step, state in connection.execute(rows):
        parts[head][step] = state
    return {version: _combine(parts[head], lineages[version].horizon) for version, head in heads.items()}


def _combine(parts: Mapping[int, Mapping[str, Any]], horizon: int) -> CalibrationState:
    joint = JointState.from_dict(parts[JOINT]) if JOINT in parts else JointState()
    return CalibrationState(tuple(StepState.from_dict(parts[step]) for step in range(1, horizon + 1)), joint)


def _initial_state(metrics: Mapping[str, Any], horizon: int) -> CalibrationState:
    stored = metrics.get("test", {}).get("calibration")
    return CalibrationState.start(horizon) if stored is None else CalibrationState.from_dict(stored)
