"""`tplus models`: versions, who serves, and why."""

import typer
from sqlalchemy import select

from service.cli.common import JsonFlag, emit, say, service
from service.db.tables import model_decisions, model_versions
from service.errors import NotFound

app = typer.Typer(name="models", help="Model versions: list, show.", no_args_is_help=True)

_LISTED = ("id", "group", "strategy", "architecture", "status", "trained_at", "reason")


@app.command("list")
def show_all(as_json: JsonFlag = False) -> None:
    """List the versions, newest first."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        rows = connection.execute(select(model_versions).order_by(model_versions.c.id.desc())).all()
    if as_json:
        emit({"models": [{name: getattr(row, name) for name in _LISTED} for row in rows]})
        return
    if not rows:
        say("no model version yet; the first is made by `tplus forecast` or `tplus train`")
    for row in rows:
        say(
            f"{row.id:>5}  {row.group:<8} {row.strategy:<10} {row.architecture:<12} {row.status:<10} "
            f"{row.trained_at:%Y-%m-%d}  {row.reason}"
        )


@app.command("show")
def show_one(version: int = typer.Argument(..., help="Number of the version."), as_json: JsonFlag = False) -> None:
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
            say(f"{name:<12} {value}")
    for decision in decisions:
        say(f"decided {decision['decided_at']:%Y-%m-%d %H:%M}Z: {decision['status']}, {decision['reason']}")
