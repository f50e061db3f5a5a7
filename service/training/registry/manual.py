"""A person decides who serves: promotion of any version, and the way back."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from service.db.change_counters import lock_changes
from service.db.tables import audit, model_decisions
from service.errors import NotFound
from service.training.registry.approvals import WITHDRAWN, key_of, record_loss
from service.training.registry.versions import Decision, ModelVersion, Recorded, champion, decide, read_version


@dataclass(frozen=True, slots=True)
class Change:
    """Who serves now, and who did (the same version where nothing changed)."""

    now: ModelVersion
    before: ModelVersion | None


def promote_by_hand(connection: Connection, version_id: int, reason: str, recorded: Recorded) -> Change:
    """Let a version serve its group and strategy, whatever the gate says.

    Where a random walk takes a network's place, the network's recipe loses its acceptance: else the next refit would
    take the place back. It may be judged again when the group has new sessions enough.

    Args:
        connection: An open write transaction.
        version_id: The version.
        reason: What the person says; kept with the decision and in the audit.
        recorded: When.

    Raises:
        NotFound: There is no such version.
    """
    lock_changes(connection)  # no training decides between what is read here and what is written
    version = read_version(connection, version_id)
    if version is None:
        raise NotFound(f"there is no model version {version_id}; see `tplus models list`")
    before = champion(connection, version.group, version.strategy)
    if before is not None and before.id == version.id:
        return Change(version, before)
    if before is not None:
        stepped = Decision("challenger", f"version {version.id} was put in its place by hand: {reason}", {})
        decide(connection, before.id, stepped, recorded)
        if before.is_network and not version.is_network:
            record_loss(connection, key_of(before), WITHDRAWN, f"withdrawn by hand: {reason}", recorded)
    decide(connection, version.id, Decision("champion", f"promoted by hand: {reason}", {}), recorded)
    _audit(connection, version, before, reason, recorded)
    return Change(version, before)


def roll_back(connection: Connection, group: str, strategy: str, reason: str, recorded: Recorded) -> Change:
    """Let the version serve again that served before the present one.

    Raises:
        NotFound: The group and strategy have no champion, or never had another.
    """
    lock_changes(connection)  # no training decides between what is read here and what is written
    present = champion(connection, group, strategy)
    if present is None:
        raise NotFound(
            f"nothing serves {group} {strategy} yet, so there is nothing to roll back; see `tplus models list`"
        )
    query = select(model_decisions.c.model_version_id).where(model_decisions.c.status == "champion")
    for version_id in connection.execute(query.order_by(model_decisions.c.id.desc())).scalars():
        version = read_version(connection, version_id)
        same = version is not None and (version.group, version.strategy) == (group, strategy)
        if same and version_id != present.id:
            return promote_by_hand(connection, version_id, reason, recorded)
    raise NotFound(
        f"version {present.id} is the only one that ever served {group} {strategy}; "
        "name another with `tplus models promote`"
    )


def _audit(
    connection: Connection, version: ModelVersion, before: ModelVersion | None, reason: str, recorded: Recorded
) -> None:
    detail = {"version": version.id, "before": None if before is None else before.id, "reason": reason}
    connection.execute(
        insert(audit).values(
            at=recorded.machine_at,
            actor="command line",
            action="models.promote",
            subject=f"{version.group} {version.strategy}",
            detail=detail,
        )
    )
