"""Promotes, rolls back, pins and unpins model versions; the artifact is checked first."""

from collections.abc import Callable

from sqlalchemy import Connection

from service.errors import NotFound
from service.run_requests.store import RunRequest
from service.runtime.context import ServiceContext
from service.scheduler.run_requests.carried import Action, Carried
from service.training.registry.manual import (
    Change,
    PersonsReason,
    pin,
    promote_manually,
    require_artifact,
    roll_back,
    unpin,
)
from service.training.registry.versions import ModelVersion, Recorded, read_version

_Change = Callable[[Connection, int, PersonsReason, Recorded], ModelVersion | Change]


def check_promotion(context: ServiceContext, request: RunRequest) -> Action:
    """Return what promotes a version.

    Raises:
        NotFound: the version does not exist, or its artifact cannot be used.
    """
    return _change(context, request, promote_manually)


def check_pin(context: ServiceContext, request: RunRequest) -> Action:
    """Return what pins a version.

    Raises:
        NotFound: the version does not exist, or its artifact cannot be used.
    """
    return _change(context, request, pin)


def check_unpin(context: ServiceContext, request: RunRequest) -> Action:
    """Return what unpins a version, also one whose artifact cannot be used."""
    return _change(context, request, unpin, check_artifact=False)


def check_rollback(context: ServiceContext, request: RunRequest) -> Action:
    """Return what restores the version that served before."""
    group, strategy = str(request.body["group"]), str(request.body["strategy"])

    def write(connection: Connection) -> Carried:
        change = roll_back(connection, group, strategy, _reason(request), _now(context, connection))
        require_artifact(change.now, context.settings.artifact_dir)
        return _carried(change)

    return write


def _change(context: ServiceContext, request: RunRequest, change: _Change, *, check_artifact: bool = True) -> Action:
    version_id = int(request.body["version"])
    with context.database.reading() as connection:
        version = read_version(connection, version_id)
    if version is None:
        raise NotFound(f"there is no model version {version_id}; see /v1/models")
    if check_artifact:
        require_artifact(version, context.settings.artifact_dir)

    def write(connection: Connection) -> Carried:
        return _carried(change(connection, version_id, _reason(request), _now(context, connection)))

    return write


def _carried(result: ModelVersion | Change) -> Carried:
    now = result.now if isinstance(result, Change) else result
    note = None
    if isinstance(result, Change) and result.before is not None and result.before.id == now.id:
        note = f"version {now.id} serves {now.group} {now.strategy} already; nothing changed"
    return Carried(f"{now.group} {now.strategy}", note=note, is_recorded=note is None)


def _reason(request: RunRequest) -> PersonsReason:
    return PersonsReason(str(request.body["reason"]), request.author)


def _now(context: ServiceContext, connection: Connection) -> Recorded:
    return Recorded(context.market.now(connection), context.machine.now(connection), None)
