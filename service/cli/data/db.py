"""`tplus db`: migrates the database, copies it, and checks its hash chains."""

from typing import Annotated

import typer
from pydantic import SecretStr

from service.cli.common import JsonFlag, echo, emit, service
from service.db.copy_database import copy_database
from service.db.migrate import display_url
from service.db.revision import HEAD
from service.db.session import Database
from service.errors import DatabaseError
from service.forecasts.ledger import verify
from service.settings import load_settings
from service.training.registry.artifact_copy import copy_models

app = typer.Typer(name="db", help="Manage the database: upgrade, copy, check.", no_args_is_help=True)


@app.command("upgrade")
def upgrade() -> None:
    """Migrate the database to this version's tables; a new database is created."""
    with service() as context:
        echo(f"{display_url(context.database)} is at migration {HEAD}")


@app.command("check")
def check(as_json: JsonFlag = False) -> None:
    """Verify the hash chains of editions and score batches; exits 1 if one was altered."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        faults = verify(connection)
    if as_json:
        emit({"faults": faults})
    elif not faults:
        echo("all editions and score batches match their hashes, none is missing")
    if faults:
        raise DatabaseError("; ".join(faults))


@app.command("copy")
def copy(
    url: Annotated[str, typer.Argument(help="An empty database: sqlite:///file.db or postgresql://user@host/name.")],
    as_json: JsonFlag = False,
) -> None:
    """Copy the database and its models into an empty one, and compare rows and hashes."""
    settings = load_settings()
    source, target = Database(settings.url, settings.lease_seconds), Database(url)
    # Models go to the folder of the target's settings.
    folder = settings.model_copy(update={"database_url": SecretStr(url)}).artifact_dir
    files = 0

    def copy_artifacts() -> None:
        nonlocal files
        with source.reading() as connection:
            files = copy_models(connection, settings.artifact_dir, folder)

    try:
        digests = copy_database(source, target, verify, copy_artifacts)
    finally:
        source.close()
        target.close()
    if as_json:
        emit({name: {"rows": found.rows, "sha256": found.sha256} for name, found in digests.items()})
        return
    rows = sum(found.rows for found in digests.values())
    echo(
        f"{rows} rows of {len(digests)} tables are in {display_url(target)}; "
        "the hashes of all tables and editions agree"
    )
    echo(
        f"{files} files of its models are in {folder}, their hashes agree; "
        "copy that folder with the database to another host"
    )
