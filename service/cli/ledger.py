"""`tplus db`: bring the database up, and check that nobody altered what was published."""

import typer

from service.cli.common import JsonFlag, emit, say, service
from service.db.head import HEAD
from service.db.migrate import shown
from service.errors import DatabaseError
from service.forecasts.ledger import verify

app = typer.Typer(name="db", help="The database: upgrade, check.", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Migrate the database to this version's tables, and stamp a new one."""
    with service() as context:
        say(f"{shown(context.database)} is at migration {HEAD}")


@app.command("check")
def check(as_json: JsonFlag = False) -> None:
    """Recompute the hash chain of every edition; exits 1 where one was altered."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        faults = verify(connection)
    if as_json:
        emit({"faults": faults})
    elif not faults:
        say("every edition gives its hash, and none is missing")
    if faults:
        raise DatabaseError("; ".join(faults))
