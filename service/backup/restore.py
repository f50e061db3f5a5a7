"""Restores a backup: everything is verified first, and compared with the manifest afterwards."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select

from service.audit import AuditEntry, record
from service.backup.archive import read_archive
from service.backup.artifacts import put_artifacts
from service.backup.backup import copy_sqlite, require_sound
from service.backup.manifest import DUMPS, Manifest
from service.backup.postgres_tools import find_tool, login, run_tool
from service.clock import DatabaseClock
from service.db.migrate import current_revision, upgrade
from service.db.revision import HEAD, is_development
from service.db.row_hashes import digest
from service.db.session import Database, display_url
from service.db.tables import metadata, schedulers
from service.errors import DatabaseError, LedgerError, StampMismatch
from service.hash_chains.links import read_heads

_ASIDE = "tplus_before_restore"
"""Schema that holds the replaced tables of PostgreSQL until the restored ones were compared."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a backup goes.

    Attributes:
        database: The database; on SQLite its file may be missing.
        store: Folder of its model artifacts.
        source: The source of the settings, as a stamp has it.
        clock: The clock mode of the settings.
        replace: Whether a database with rows is replaced.
    """

    database: Database
    store: Path
    source: str
    clock: str
    replace: bool = False


def restore(archive: Path, destination: Destination) -> Manifest:
    """Restore a backup and return its manifest; on an error the database is as before.

    Raises:
        LedgerError: the archive cannot be read or was altered, or PostgreSQL's programs are missing.
        DatabaseError: the target holds rows, is in use, or differs from the manifest afterwards.
    """
    database = destination.database
    if not database.is_sqlite:
        find_tool("pg_restore")
    staging = _staging(destination.store.parent)
    try:
        manifest = read_archive(archive, staging, lambda found: _check(found, destination, archive))
        _require_free(destination)
        dump = staging / DUMPS[manifest.database]
        if database.is_sqlite:
            _check_dump(dump, manifest)
        put_artifacts(manifest, staging, destination.store)
        if database.is_sqlite:
            _restore_sqlite(database, dump, staging / "previous.sqlite", manifest)
        else:
            _restore_postgres(database, dump, manifest)
    except OSError as error:
        raise LedgerError(f"{error.filename or archive}: {error.strerror}; free space, then restore again") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    upgrade(database)
    with database.transaction() as connection:
        detail = {"created_at": manifest.created_at.isoformat(), "version": manifest.version}
        record(connection, AuditEntry("db.restore", archive.name, detail), DatabaseClock().now(connection))
    return manifest


def _staging(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".tplus-restore-", dir=folder))
    except OSError as error:
        raise LedgerError(f"{folder} cannot be written: {error.strerror}; set TPLUS_DATA_DIR") from error


def _check(manifest: Manifest, destination: Destination, archive: Path) -> None:
    """Refuse an archive that cannot be restored here, before its files are copied."""
    kind = "sqlite" if destination.database.is_sqlite else "postgresql"
    if manifest.database != kind:
        raise LedgerError(
            f"{archive} is of a {manifest.database} database, the settings name a {kind} one; restore it into its own "
            "kind, then use `tplus db copy`"
        )
    if manifest.migration > HEAD or is_development(manifest.migration):
        raise LedgerError(
            f"{archive} is at migration {manifest.migration}, this version knows up to {HEAD}; restore it with Tplus "
            f"{manifest.version}"
        )
    unknown = [
        f"{name}.{column}"
        for name, entry in manifest.tables.items()
        for column in entry.columns
        if name not in metadata.tables or column not in metadata.tables[name].c
    ]
    if unknown:
        raise LedgerError(
            f"{archive} has {', '.join(unknown[:5])}, which this version does not have; restore it with Tplus "
            f"{manifest.version}, then upgrade"
        )
    if manifest.source is not None and (manifest.source, manifest.clock) != (destination.source, destination.clock):
        raise StampMismatch(
            f"{archive} is of source {manifest.source} with the {manifest.clock} clock, the settings name "
            f"{destination.source} with the {destination.clock} clock; set TPLUS_SOURCE and TPLUS_CLOCK to match"
        )


def _require_free(destination: Destination) -> None:
    """Refuse a database that is in use, or that holds rows and is not to be replaced."""
    database = destination.database
    name = database.engine.url.database
    if database.is_sqlite and not (name and Path(name).is_file()):
        return
    with database.reading() as connection:
        tables = set(inspect(connection).get_table_names())
        if schedulers.name in tables:
            lease: datetime | None = connection.execute(select(func.max(schedulers.c.lease_until))).scalar_one()
            if lease is not None and lease > DatabaseClock().now(connection):
                raise DatabaseError(
                    f"a scheduler uses {display_url(database)}; stop the service, or wait until its lease ends"
                )
        filled = _first_filled(connection, tables)
    if filled is not None and not destination.replace:
        raise DatabaseError(
            f"{display_url(database)} is not empty: {filled} has rows; use an empty database, or --replace to lose them"
        )


def _first_filled(connection: Connection, tables: set[str]) -> str | None:
    for table in metadata.sorted_tables:
        if table.name in tables and connection.execute(select(1).select_from(table).limit(1)).first() is not None:
            return table.name
    return None


def _check_dump(dump: Path, manifest: Manifest) -> None:
    with closing_database(f"sqlite:///{dump}") as copy, copy.reading() as connection:
        require_sound(connection, "in the archive")
        _compare(connection, manifest)


@contextmanager
def closing_database(url: str) -> Iterator[Database]:
    """Open a database for a block."""
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _compare(connection: Connection, manifest: Manifest) -> None:
    """Raise if the migration, a table or a head is not as the manifest says."""
    faults = []
    found = current_revision(connection)
    if found != manifest.migration:
        faults.append(f"its migration is {found}, the manifest has {manifest.migration}")
    else:
        for name, entry in manifest.tables.items():
            actual = digest(connection, metadata.tables[name], entry.columns)
            if actual != entry.digest:
                faults.append(f"{name} has {actual.rows} rows that differ from the {entry.rows} of the manifest")
        if read_heads(connection) != manifest.heads:
            faults.append("the heads of its hash chains differ from the manifest's")
    if faults:
        raise LedgerError(f"the restored database differs: {'; '.join(faults)}; use another backup")


def _restore_sqlite(database: Database, dump: Path, previous: Path, manifest: Manifest) -> None:
    target = Path(database.engine.url.database or "")
    existed = target.is_file()
    if existed:
        copy_sqlite(target, previous)
    database.close()
    try:
        _overwrite(dump, target)
        with database.reading() as connection:
            _compare(connection, manifest)
    except BaseException:
        database.close()
        if existed:
            _overwrite(previous, target)
        raise


def _overwrite(source: Path, target: Path) -> None:
    """Write a database over a file through SQLite, which locks out the processes that have it open."""
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, timeout=10)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise DatabaseError(f"{target} cannot be written: {error}; stop the service, then restore again") from error


def _restore_postgres(database: Database, dump: Path, manifest: Manifest) -> None:
    with database.transaction() as connection:
        if inspect(connection).has_schema(_ASIDE):  # an earlier restore was killed: back to what was before it
            _undo(connection)
        connection.exec_driver_sql(f"ALTER SCHEMA public RENAME TO {_ASIDE}")
        connection.exec_driver_sql("CREATE SCHEMA public")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO PUBLIC")
    try:
        with login(database.engine.url) as conninfo:
            options = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
            run_tool("pg_restore", [*options, f"--dbname={conninfo}", str(dump)])
        with database.reading() as connection:
            _compare(connection, manifest)
    except BaseException:
        with database.transaction() as connection:
            _undo(connection)
        raise
    with database.transaction() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {_ASIDE} CASCADE")


def _undo(connection: Connection) -> None:
    connection.exec_driver_sql("DROP SCHEMA public CASCADE")
    connection.exec_driver_sql(f"ALTER SCHEMA {_ASIDE} RENAME TO public")
