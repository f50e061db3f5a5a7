"""The joint band's stored state."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, and_, func, select

from service.db.tables import calibration_states, model_versions

_JOINT = 0
"""Step under which the joint band's state is stored."""


def joint_states(
    connection: Connection, versions: Iterable[int], calendar: str, as_of: date
) -> dict[int, Mapping[str, Any]]:
    """What each version's joint band as of a session was made with.

    Args:
        connection: Open for reading.
        versions: Ids of model versions.
        calendar: Their forecasts' calendar.
        as_of: States as of later sessions do not count.

    Returns:
        Version -> the newest state of any version of its group, strategy and recipe; absent where there is none.
    """
    own, kin, other = (model_versions.alias(name) for name in ("own", "kin", "other"))
    earlier, state = calibration_states.alias("earlier"), calibration_states.alias("state")

    def same(one: Any) -> Any:
        return and_(
            one.c.group == own.c.group, one.c.strategy == own.c.strategy, one.c.config_hash == own.c.config_hash
        )

    newest = (
        select(func.max(earlier.c.as_of))
        .select_from(kin.join(earlier, earlier.c.model_version_id == kin.c.id))
        .where(same(kin), earlier.c.calendar == calendar, earlier.c.step == _JOINT, earlier.c.as_of <= as_of)
        .correlate(own)
        .scalar_subquery()
    )
    query = (
        select(own.c.id, state.c.state)
        .select_from(own.join(other, same(other)).join(state, state.c.model_version_id == other.c.id))
        .where(own.c.id.in_(sorted(set(versions))), state.c.calendar == calendar, state.c.step == _JOINT)
        .where(state.c.as_of == newest)
        .order_by(state.c.model_version_id)
    )
    return {version: found for version, found in connection.execute(query)}
