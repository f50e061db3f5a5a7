"""Reads and records the approvals of model configs in a group.

An approval holds whether the config is accepted, its attempts, and whether a new attempt is allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select

from models.gate import ATTEMPT_INTERVAL, Evidence, GateResult
from service.db.change_counters import raise_changes
from service.db.tables import bars, config_approvals, instruments
from service.training.registry.versions import ModelVersion, Recorded
from service.vocabulary import ApprovalKind


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """Identifies an approval: one config in one group, for one strategy."""

    group: str
    strategy: str
    config_hash: str
    forecaster: str


@dataclass(frozen=True, slots=True)
class Approval:
    """Current approval of a config.

    Attributes:
        accepted: Whether it may serve.
        reason: Reason of the last decision.
        attempts: Attempts of the group and strategy, of any config; those with too few sessions for a p do not count.
        may_attempt: Whether a new attempt is allowed now.
        figures: Figures of the last decision, JSON-able; empty before the first.
    """

    accepted: bool
    reason: str
    attempts: int
    may_attempt: bool
    figures: Mapping[str, Any]


def approval_key(version: ModelVersion) -> ConfigKey:
    """Return the key of the approval that a version depends on."""
    return ConfigKey(version.group, version.strategy, version.config_hash, version.forecaster)


def read_approval(connection: Connection, key: ConfigKey) -> Approval:
    """Return the approval of a config.

    An attempt is allowed while it is not accepted: the first one, and later ones when its group has
    `gate.ATTEMPT_INTERVAL` sessions after those of its last evidence.
    """
    own = (config_approvals.c.group == key.group, config_approvals.c.strategy == key.strategy)
    attempts = connection.execute(
        select(func.count())
        .select_from(config_approvals)
        .where(*own, config_approvals.c.kind == ApprovalKind.ATTEMPT, config_approvals.c.p.is_not(None))
    ).scalar_one()
    query = select(config_approvals).where(*own, config_approvals.c.config_hash == key.config_hash)
    rows = connection.execute(query.order_by(config_approvals.c.id.desc())).all()
    if not rows:
        return Approval(False, "the model config has not been tested yet", attempts, True, {})
    newest = rows[0]
    tested_until = [row.last_session for row in rows if row.last_session is not None]
    since = _sessions_after(connection, key.group, max(tested_until)) if tested_until else ATTEMPT_INTERVAL
    reason = newest.reason
    if not newest.accepted and since < ATTEMPT_INTERVAL:
        reason = f"{reason}; next attempt in {ATTEMPT_INTERVAL - since} sessions"
    return Approval(
        newest.accepted, reason, attempts, not newest.accepted and since >= ATTEMPT_INTERVAL, _figures(newest._mapping)
    )


def record_attempt(
    connection: Connection, key: ConfigKey, evidence: Evidence, result: GateResult, recorded: Recorded
) -> None:
    """Record an attempt and its result."""
    attempts = read_approval(connection, key).attempts + 1
    last = evidence.days[-1].astype("datetime64[D]").item() if len(evidence) else _newest_session(connection, key)
    values = {
        "kind": ApprovalKind.ATTEMPT,
        "attempt": attempts,
        "accepted": result.accepted,
        "last_session": last,
        "sessions": result.sessions,
        "pinball": result.pinball if result.sessions else None,
        "random_walk_pinball": result.random_walk_pinball if result.sessions else None,
        "p": result.p,
        "level": result.level,
        "reason": result.reason,
        "evidence": evidence.to_dict(),
    }
    _insert(connection, key, values, recorded)


def record_withdrawal(
    connection: Connection, key: ConfigKey, kind: ApprovalKind, reason: str, recorded: Recorded
) -> None:
    """Withdraw the approval of a config.

    Args:
        connection: An open write transaction.
        key: The config.
        kind: `LIVE` because of its live scores, `WITHDRAWN` by a person.
        reason: One sentence.
        recorded: Instants and run of the decision.
    """
    attempts = read_approval(connection, key).attempts
    # The evidence of the next attempt must be newer than this.
    last = _newest_session(connection, key)
    values = {
        "kind": kind,
        "attempt": attempts,
        "accepted": False,
        "last_session": last,
        "sessions": 0,
        "reason": reason,
    }
    _insert(connection, key, values, recorded)


def _insert(connection: Connection, key: ConfigKey, values: Mapping[str, Any], recorded: Recorded) -> None:
    connection.execute(
        insert(config_approvals).values(
            group=key.group,
            strategy=key.strategy,
            config_hash=key.config_hash,
            forecaster=key.forecaster,
            decided_at=recorded.market_at,
            recorded_at=recorded.machine_at,
            run_id=recorded.run_id,
            **values,
        )
    )
    raise_changes(connection, ())


def _figures(row: RowMapping) -> dict[str, Any]:
    names = ("kind", "attempt", "sessions", "pinball", "random_walk_pinball", "p", "level")
    return {f"config_{name}": row[name] for name in names}


def _newest_session(connection: Connection, key: ConfigKey) -> date | None:
    """Return the newest session of a group's bars."""
    query = select(func.max(bars.c.session)).select_from(_bars_of(key.group))
    newest: date | None = connection.execute(query).scalar_one()
    return newest


def _sessions_after(connection: Connection, group: str, session: date) -> int:
    """Return the number of sessions of a group's bars after a session."""
    query = select(func.count(bars.c.session.distinct())).select_from(_bars_of(group))
    return int(connection.execute(query.where(bars.c.session > session)).scalar_one())


def _bars_of(group: str) -> Any:
    own = (instruments.c.symbol == bars.c.symbol) & (instruments.c.group == group) & instruments.c.active
    return bars.join(instruments, own)
