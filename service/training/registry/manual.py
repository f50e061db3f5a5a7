"""Promotes a version manually, and rolls back to the one before."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from service.audit import AuditEntry, record
from service.db.change_counters import lock_changes
from service.db.tables import model_decisions
from service.errors import NotFound
from service.training.registry.approvals import approval_key, record_withdrawal
from service.training.registry.versions import Decision, ModelVersion, Recorded, champion, decide, read_version
from service.vocabulary import ApprovalKind, ModelStatus


@dataclass(frozen=True, slots=True)
class Change:
    """The version that serves now, and the one before; the same if nothing changed."""

    now: ModelVersion
    before: ModelVersion | None


def promote_manually(connection: Connection, version_id: int, reason: str, recorded: Recorded) -> Change:
    """Promote a version to champion, whatever the gate decided.

    If a random walk replaces a network, the network's config loses its approval: otherwise the next refit
    would serve. A new attempt is allowed once the group has enough new sessions.

    Args:
        connection: An open write transaction.
        version_id: The version.
        reason: The person's reason; stored with the decision and in the audit.
        recorded: Instants of the decision.

    Raises:
        NotFound: The version does not exist.
    """
    lock_changes(connection)  # no training can decide between this read and the write
    version = read_version(connection, version_id)
    if version is None:
        raise NotFound(f"there is no model version {version_id}; see `tplus models list`")
    before = champion(connection, version.group, version.strategy)
    if before is not None and before.id == version.id:
        return Change(version, before)
    if before is not None:
        replaced = Decision(ModelStatus.CHALLENGER, f"version {version.id} was promoted manually instead: {reason}", {})
        decide(connection, before.id, replaced, recorded)
        if before.is_network and not version.is_network:
            record_withdrawal(
                connection, approval_key(before), ApprovalKind.WITHDRAWN, f"withdrawn manually: {reason}", recorded
            )
    decide(connection, version.id, Decision(ModelStatus.CHAMPION, f"promoted manually: {reason}", {}), recorded)
    _audit(connection, version, before, reason, recorded)
    return Change(version, before)


def roll_back(connection: Connection, group: str, strategy: str, reason: str, recorded: Recorded) -> Change:
    """Promote the previous champion of a group and strategy.

    Raises:
        NotFound: The group and strategy have no champion, or never had another.
    """
    lock_changes(connection)  # no training can decide between this read and the write
    current = champion(connection, group, strategy)
    if current is None:
        raise NotFound(
            f"nothing serves {group} {strategy} yet, so there is nothing to roll back; see `tplus models list`"
        )
    query = select(model_decisions.c.model_version_id).where(model_decisions.c.status == ModelStatus.CHAMPION)
    for version_id in connection.execute(query.order_by(model_decisions.c.id.desc())).scalars():
        version = read_version(connection, version_id)
        same = version is not None and (version.group, version.strategy) == (group, strategy)
        if same and version_id != current.id:
            return promote_manually(connection, version_id, reason, recorded)
    raise NotFound(
        f"version {current.id} is the only one that ever served {group} {strategy}; "
        "name another with `tplus models promote`"
    )


def _audit(
    connection: Connection, version: ModelVersion, before: ModelVersion | None, reason: str, recorded: Recorded
) -> None:
    detail = {"version": version.id, "before": None if before is None else before.id, "reason": reason}
    entry = AuditEntry("models.promote", f"{version.group} {version.strategy}", detail)
    record(connection, entry, recorded.machine_at)
