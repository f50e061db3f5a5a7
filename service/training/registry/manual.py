"""Changes by a person: promotes a version, rolls back to the one before, pins and unpins the one that serves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from models.errors import ArtifactError
from models.forecasting.artifact import load_artifact
from service.audit import AuditEntry, Author, record
from service.db.change_counters import lock_changes, raise_changes
from service.db.tables import model_decisions, model_versions
from service.errors import NotFound
from service.training.registry.approvals import approval_key, record_withdrawal
from service.training.registry.versions import Decision, ModelVersion, Recorded, champion, decide, read_version
from service.vocabulary import ApprovalKind, ModelStatus


@dataclass(frozen=True, slots=True)
class PersonsReason:
    """Why a person changes a version; stored with the decision and in the audit.

    Attributes:
        text: The reason.
        author: Who makes the change.
    """

    text: str
    author: Author = field(default_factory=Author)


@dataclass(frozen=True, slots=True)
class Change:
    """The version that serves now, and the one before; the same if nothing changed."""

    now: ModelVersion
    before: ModelVersion | None


def promote_manually(connection: Connection, version_id: int, reason: PersonsReason, recorded: Recorded) -> Change:
    """Promote a version to champion, whatever the gate decided.

    If a random walk replaces a network, the network's config loses its approval: otherwise the next refit
    would serve. A new attempt is allowed once the group has enough new sessions. The pin of the version before ends.

    Args:
        connection: An open write transaction.
        version_id: The version.
        reason: The person's reason.
        recorded: Instants of the decision.

    Raises:
        NotFound: The version does not exist.
    """
    version = _locked(connection, version_id)
    before = champion(connection, version.group, version.strategy)
    if before is not None and before.id == version.id:
        return Change(version, before)
    if before is not None:
        replaced = Decision(
            ModelStatus.CHALLENGER, f"version {version.id} was promoted manually instead: {reason.text}", {}
        )
        decide(connection, before.id, replaced, recorded)
        _set_pin(connection, before.id, None)
        if before.is_network and not version.is_network:
            record_withdrawal(
                connection, approval_key(before), ApprovalKind.WITHDRAWN, f"withdrawn manually: {reason.text}", recorded
            )
    decide(connection, version.id, Decision(ModelStatus.CHAMPION, f"promoted manually: {reason.text}", {}), recorded)
    detail = {"before": None if before is None else before.id}
    _audit(connection, "models.promote", version, reason, recorded, detail)
    return Change(version, before)


def roll_back(connection: Connection, group: str, strategy: str, reason: PersonsReason, recorded: Recorded) -> Change:
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


def pin(connection: Connection, version_id: int, reason: PersonsReason, recorded: Recorded) -> ModelVersion:
    """Pin the version that serves: no training replaces it until it is unpinned or another one is promoted.

    Args:
        connection: An open write transaction.
        version_id: The version; it must serve.
        reason: The person's reason.
        recorded: Instants of the change.

    Raises:
        NotFound: The version does not exist, or does not serve.
    """
    version = _locked(connection, version_id)
    if version.status != ModelStatus.CHAMPION:
        raise NotFound(
            f"version {version_id} does not serve {version.group} {version.strategy} (it is {version.status}), so it "
            "cannot be pinned; promote it first"
        )
    if version.pinned_at is None:
        _set_pin(connection, version_id, recorded.market_at)
    _audit(connection, "models.pin", version, reason, recorded)
    return replace(version, pinned_at=version.pinned_at or recorded.market_at)


def unpin(connection: Connection, version_id: int, reason: PersonsReason, recorded: Recorded) -> ModelVersion:
    """Unpin a version: the gate decides again at the next training of its group.

    Args:
        connection: An open write transaction.
        version_id: The version.
        reason: The person's reason.
        recorded: Instants of the change.

    Raises:
        NotFound: The version does not exist, or is not pinned.
    """
    version = _locked(connection, version_id)
    if version.pinned_at is None:
        raise NotFound(f"version {version_id} is not pinned; see `tplus models list`")
    _set_pin(connection, version_id, None)
    _audit(connection, "models.unpin", version, reason, recorded)
    return replace(version, pinned_at=None)


def require_artifact(version: ModelVersion, store: Path) -> None:
    """Raise if a version cannot forecast.

    Raises:
        NotFound: Its artifact is missing, was altered, or cannot be read; the message says which.
    """
    try:
        load_artifact(version.folder(store), version.sha256)
    except ArtifactError as error:
        raise NotFound(f"version {version.id} cannot serve: {error}") from error


def _locked(connection: Connection, version_id: int) -> ModelVersion:
    """Return a version; no training can decide until the transaction ends.

    Raises:
        NotFound: The version does not exist.
    """
    lock_changes(connection)
    version = read_version(connection, version_id)
    if version is None:
        raise NotFound(f"there is no model version {version_id}; see `tplus models list`")
    return version


def _set_pin(connection: Connection, version_id: int, at: datetime | None) -> None:
    connection.execute(update(model_versions).where(model_versions.c.id == version_id).values(pinned_at=at))
    raise_changes(connection, ())


def _audit(
    connection: Connection,
    action: str,
    version: ModelVersion,
    reason: PersonsReason,
    recorded: Recorded,
    detail: Mapping[str, Any] | None = None,
) -> None:
    facts = {"version": version.id, **(detail or {}), "reason": reason.text}
    subject = f"{version.group} {version.strategy}"
    author = reason.author
    record(connection, AuditEntry(action, subject, facts, author.name, author.request_id), recorded.machine_at)
