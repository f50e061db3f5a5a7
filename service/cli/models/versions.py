"""`tplus models`: versions and their promotion."""

from typing import Annotated

import typer
from sqlalchemy import Connection, select

from models.config import Strategy
from service.cli.common import JsonFlag, echo, emit, service
from service.clock import minute_text
from service.db.change_counters import lock_changes
from service.db.tables import model_decisions, model_versions
from service.errors import NotFound
from service.runtime.context import ServiceContext
from service.training.registry.manual import (
    Change,
    PersonsReason,
    pin,
    promote_manually,
    require_artifact,
    roll_back,
    unpin,
)
from service.training.registry.versions import ModelVersion, Recorded

app = typer.Typer(
    name="models", help="Manage model versions: list, show, promote, rollback, pin, unpin.", no_args_is_help=True
)

_LISTED = ("id", "group", "strategy", "forecaster", "status", "trained_at", "pinned_at", "reason")


@app.command("list")
def list_versions(as_json: JsonFlag = False) -> None:
    """List the versions, newest first."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        rows = connection.execute(select(model_versions).order_by(model_versions.c.id.desc())).all()
    if as_json:
        emit({"models": [{name: getattr(row, name) for name in _LISTED} for row in rows]})
        return
    if not rows:
        echo("no model version yet; `tplus forecast` or `tplus train` makes the first")
    for row in rows:
        echo(
            f"{row.id:>5}  {row.group:<8} {row.strategy:<10} {row.forecaster:<12} {row.status:<10} "
            f"{row.trained_at.date()}  {'pinned; ' if row.pinned_at else ''}{row.reason}"
        )


@app.command("show")
def show_version(version: int = typer.Argument(..., help="Number of the version."), as_json: JsonFlag = False) -> None:
    """Show one version: its spans, figures and decisions."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        row = connection.execute(select(model_versions).where(model_versions.c.id == version)).mappings().one_or_none()
        if row is None:
            raise NotFound(f"there is no model version {version}; see `tplus models list`")
        query = select(model_decisions).where(model_decisions.c.model_version_id == version)
        decisions = connection.execute(query.order_by(model_decisions.c.id)).mappings().all()
    document = {**row, "decisions": [dict(decision) for decision in decisions]}
    if as_json:
        emit(document)
        return
    for name, value in document.items():
        if name != "decisions":
            echo(f"{name:<12} {value}")
    for decision in decisions:
        echo(f"decided {minute_text(decision['decided_at'])}: {decision['status']}, {decision['reason']}")


_Reason = Annotated[str, typer.Option("--reason", help="Reason; stored with the decision and in the audit.")]


@app.command("promote")
def promote(
    version: Annotated[int, typer.Argument(help="Number of the version.")],
    reason: _Reason = "no reason given",
    as_json: JsonFlag = False,
) -> None:
    """Promote a version: it serves its group and strategy from the next edition on, whatever the gate decided."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        change = promote_manually(connection, version, PersonsReason(reason), _locked_now(context, connection))
        require_artifact(change.now, context.settings.artifact_dir)
    _print_change(change, as_json)


@app.command("rollback")
def rollback(
    group: Annotated[str, typer.Argument(help="Group, for example equity.")],
    strategy: Annotated[Strategy, typer.Argument(help="one_step or multi_step.")],
    reason: _Reason = "no reason given",
    as_json: JsonFlag = False,
) -> None:
    """Restore the version that served before the current one."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        change = roll_back(connection, group, strategy.value, PersonsReason(reason), _locked_now(context, connection))
        require_artifact(change.now, context.settings.artifact_dir)
    _print_change(change, as_json)


@app.command("pin")
def pin_version(
    version: Annotated[int, typer.Argument(help="Number of the version that serves.")],
    reason: _Reason = "no reason given",
    as_json: JsonFlag = False,
) -> None:
    """Pin the version that serves: no training replaces it."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        pinned = pin(connection, version, PersonsReason(reason), _locked_now(context, connection))
        require_artifact(pinned, context.settings.artifact_dir)
    _print_pin(pinned, as_json)


@app.command("unpin")
def unpin_version(
    version: Annotated[int, typer.Argument(help="Number of the pinned version.")],
    reason: _Reason = "no reason given",
    as_json: JsonFlag = False,
) -> None:
    """Unpin a version: the next training of its group may replace it."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        unpinned = unpin(connection, version, PersonsReason(reason), _locked_now(context, connection))
    _print_pin(unpinned, as_json)


def _print_pin(version: ModelVersion, as_json: bool) -> None:
    if as_json:
        emit({"id": version.id, "group": version.group, "strategy": version.strategy, "pinned_at": version.pinned_at})
        return
    effect = (
        "may be replaced by the next training" if version.pinned_at is None else "is pinned: no training replaces it"
    )
    echo(f"version {version.id} ({version.forecaster}) of {version.group} {version.strategy} {effect}")


def _locked_now(context: ServiceContext, connection: Connection) -> Recorded:
    """Return the instants of a change, read after the wait for a training that decides."""
    lock_changes(connection)
    return Recorded(context.market.now(connection), context.machine.now(connection), None)


def _print_change(change: Change, as_json: bool) -> None:
    now, before = change.now, change.before
    if as_json:
        former = None if before is None else before.id
        emit({"group": now.group, "strategy": now.strategy, "champion": now.id, "before": former})
        return
    if before is not None and before.id == now.id:
        echo(f"version {now.id} ({now.forecaster}) serves {now.group} {now.strategy} already; nothing changed")
        return
    place = "" if before is None else f", instead of version {before.id} ({before.forecaster})"
    echo(f"version {now.id} ({now.forecaster}) serves {now.group} {now.strategy} from the next edition on{place}")
