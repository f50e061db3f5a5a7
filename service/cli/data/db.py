"""`tplus db`: migrates, checks, copies, backs up, restores and prunes the database."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from service.backup.backup import BackupSource, back_up
from service.backup.manifest import Manifest
from service.backup.restore import Destination, restore
from service.cli.common import JsonFlag, echo, emit, service
from service.clock import process_now
from service.db.copy_database import copy_database
from service.db.revision import HEAD
from service.db.session import Database, display_url
from service.errors import DatabaseError, LedgerError, SettingsError
from service.forecasts.ledger import verify
from service.hash_chains.head_file import find_lost_heads, read_newest
from service.retention import count_prunable, prune
from service.settings import MIN_RETENTION_DAYS, Settings, load_settings
from service.training.registry.artifact_copy import copy_models

app = typer.Typer(
    name="db", help="Manage the database: upgrade, check, copy, backup, restore, prune.", no_args_is_help=True
)


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


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE_OR_FOLDER", help="A new file, or a folder for it.")],
    as_json: JsonFlag = False,
) -> None:
    """Back up the database and its models into one archive; the service may run."""
    from service.app import VERSION  # the other commands of this module need no web framework

    settings = load_settings()
    database = Database(settings.url)
    begin = time.monotonic()
    try:
        path, manifest = back_up(BackupSource(database, settings.artifact_dir, VERSION), target, process_now())
    finally:
        database.close()
    seconds = time.monotonic() - begin
    if as_json:
        emit({"file": str(path), "seconds": round(seconds, 2), "size": path.stat().st_size, **_facts(manifest)})
        return
    for sentence in manifest.left_out:
        echo(f"left out: {sentence}")
    echo(f"{path}: {_contents(manifest)}; {path.stat().st_size / 1e6:.1f} MB in {seconds:.1f} s")


@app.command("restore")
def restore_backup(
    file: Annotated[Path, typer.Argument(help="An archive of `tplus db backup`.")],
    replace: Annotated[bool, typer.Option("--replace", help="Replace a database that has rows.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Restore a backup into an empty database, after verifying it; the service must be stopped."""
    settings = load_settings()
    database = Database(settings.url)
    destination = Destination(
        database, settings.artifact_dir, settings.source_name, settings.market_clock.mode, replace=replace
    )
    begin = time.monotonic()
    try:
        manifest = restore(file, destination)
    finally:
        database.close()
    seconds = time.monotonic() - begin
    lost = _lost_heads(settings)
    if as_json:
        emit({"seconds": round(seconds, 2), **_facts(manifest), "lost_heads": lost})
        return
    echo(f"{display_url(database)}: {_contents(manifest)}; the hashes of all tables agree; {seconds:.1f} s")
    for sentence in lost:
        echo(sentence)


@app.command("prune")
def prune_old(
    keep_days: Annotated[
        int | None,
        typer.Option(min=MIN_RETENTION_DAYS, max=36_500, help="Days to keep, of market time; TPLUS_RETENTION_DAYS."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete old bar revisions, settled quarantine rows and outcomes of runs; forecasts and scores are always kept."""
    with service(quiet=as_json) as context:
        days = keep_days or context.settings.retention_days
        if days is None:
            raise SettingsError("nothing says how long to keep; give --keep-days, or set TPLUS_RETENTION_DAYS")
        keep, now = timedelta(days=days), context.market_now()
        if dry_run:
            with context.database.reading() as connection:
                pruned = count_prunable(connection, now, keep)
        else:
            pruned = prune(context.database, now, process_now(), keep)
    if as_json:
        emit({"keep_days": days, "dry_run": dry_run, **pruned.document()})
        return
    verb = "would be deleted" if dry_run else "were deleted"
    echo(
        f"{pruned.bar_revisions} bar revisions, {pruned.quarantine} quarantine rows and {pruned.outcomes} outcomes of "
        f"{pruned.runs} runs before {now - keep:%Y-%m-%d} {verb}; the runs stay"
    )


def _lost_heads(settings: Settings) -> list[str]:
    """Return a sentence for each chain that is behind the newest head of `TPLUS_LEDGER_HEAD_FILE`.

    A file that cannot be read is one sentence too: the database is restored whether or not it can be compared.
    """
    path = settings.ledger_head_file
    try:
        newest = None if path is None else read_newest(path)
    except LedgerError as error:
        return [f"the heads were not compared: {error}"]
    if newest is None:
        return []
    database = Database(settings.url)
    try:
        with database.reading() as connection:
            why = f"the backup is older than {path}, and `tplus ledger verify --head {path}` says so"
            return [f"{sentence}; {why}" for sentence in find_lost_heads(connection, newest)]
    finally:
        database.close()


def _facts(manifest: Manifest) -> dict[str, object]:
    return {
        "created_at": manifest.created_at,
        "migration": manifest.migration,
        "tables": {name: {"rows": entry.rows, "sha256": entry.sha256} for name, entry in manifest.tables.items()},
        "artifact_files": len(manifest.artifacts),
        "left_out": manifest.left_out,
        "heads": manifest.heads.document(),
    }


def _contents(manifest: Manifest) -> str:
    rows = sum(entry.rows for entry in manifest.tables.values())
    return (
        f"{rows} rows of {len(manifest.tables)} tables, {len(manifest.artifacts)} files of models, "
        f"editions to {manifest.editions.number}, score batches to {manifest.score_batches.number}"
    )
