"""Makes a backup while the service runs: one snapshot of the database, and the artifacts that its rows name."""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, select

from service.backup.archive import file_entry, write_archive
from service.backup.artifacts import entries, find_artifacts
from service.backup.manifest import DUMPS, HeadEntry, Manifest, TableEntry
from service.backup.postgres_tools import find_tool, login, run_tool
from service.db.migrate import require_head
from service.db.revision import HEAD
from service.db.row_hashes import digest
from service.db.session import Database, display_url
from service.db.tables import market_clock, metadata, stamp
from service.errors import DatabaseError, LedgerError
from service.hash_chains.links import read_heads


@dataclass(frozen=True, slots=True)
class BackupSource:
    """What is backed up.

    Attributes:
        database: The database; it may be in use.
        store: Folder of its model artifacts.
        version: The version of Tplus.
    """

    database: Database
    store: Path
    version: str


def back_up(source: BackupSource, target: Path, at: datetime) -> tuple[Path, Manifest]:
    """Write a backup and return its file and manifest.

    The archive appears only when it is complete. Everything in it is of one snapshot of the database.

    Args:
        source: What to back up.
        target: A file that does not exist, or a folder, in which the file is named after source and time.
        at: Machine time.

    Raises:
        LedgerError: the file exists, it cannot be written, or PostgreSQL's programs are missing.
        DatabaseError: the database is missing, damaged, or at another migration.
    """
    if not source.database.is_sqlite:
        find_tool("pg_dump")
    with _dumped(source.database, target if target.is_dir() else target.parent) as (dump, snapshot):
        manifest, files = _describe(source, snapshot, dump, at)
        path = target / _file_name(manifest) if target.is_dir() else target
        if path.exists():
            raise LedgerError(f"{path} exists; name another file, a backup never replaces one")
        staged = dump.parent / "archive.tar"
        try:
            write_archive(staged, manifest, files)
            staged.rename(path)
        except OSError as error:
            raise LedgerError(f"{path} cannot be written: {error.strerror}; free space or name another file") from error
    return path, manifest


@contextmanager
def _dumped(database: Database, folder: Path) -> Iterator[tuple[Path, Connection]]:
    """Yield a dump in a folder of its own, and a connection to the same snapshot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".tplus-backup-", dir=folder))
    except OSError as error:
        raise LedgerError(f"{folder} cannot be written: {error.strerror}; name another folder") from error
    with ExitStack() as ends:
        ends.callback(shutil.rmtree, staging, ignore_errors=True)
        if not database.is_sqlite:
            yield from _dump_postgres(database, staging / DUMPS["postgresql"])
            return
        dump = staging / DUMPS["sqlite"]
        copy_sqlite(Path(_sqlite_file(database)), dump)
        copy = Database(f"sqlite:///{dump}")
        ends.callback(copy.close)
        with copy.reading() as connection:
            require_sound(connection, display_url(database))
            require_head(connection, display_url(database))
        yield from _after_use(copy, dump)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy an SQLite database with its backup interface: one snapshot, while others read and write.

    Raises:
        DatabaseError: the source is missing or cannot be read.
    """
    if not source.is_file():
        raise DatabaseError(f"there is no database {source}; check TPLUS_DATA_DIR and TPLUS_DATABASE_URL")
    try:
        with closing(sqlite3.connect(source, timeout=30)) as old, closing(sqlite3.connect(target, timeout=30)) as new:
            old.backup(new)  # all pages in one step: in WAL mode it blocks no writer and sees one snapshot
            new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise DatabaseError(
            f"{source} cannot be copied to {target}: {error}; check the disk, then try again"
        ) from error


def require_sound(connection: Connection, name: str) -> None:
    """Raise if an SQLite database is damaged.

    Raises:
        DatabaseError: its own check finds a fault.
    """
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise DatabaseError(f"the database {name} is damaged ({found}); restore a backup")


def _after_use(copy: Database, dump: Path) -> Iterator[tuple[Path, Connection]]:
    with copy.reading() as connection:
        yield dump, connection


def _dump_postgres(database: Database, dump: Path) -> Iterator[tuple[Path, Connection]]:
    with database.reading() as connection:
        require_head(connection, display_url(database))
        # The snapshot must live until pg_dump has taken it, however long the limits of other transactions are.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        with login(database.engine.url) as conninfo:
            options = ["--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=60s"]
            run_tool("pg_dump", [*options, f"--snapshot={snapshot}", f"--file={dump}", f"--dbname={conninfo}"])
        yield dump, connection


def _describe(source: BackupSource, snapshot: Connection, dump: Path, at: datetime) -> tuple[Manifest, dict[str, Path]]:
    artifacts, left_out = find_artifacts(snapshot, source.store)
    kind: Literal["sqlite", "postgresql"] = "sqlite" if source.database.is_sqlite else "postgresql"
    identity = snapshot.execute(select(stamp.c.source, stamp.c.clock_mode)).one_or_none()
    heads = read_heads(snapshot)
    tables = {
        table.name: TableEntry(columns=table.c.keys(), rows=found.rows, sha256=found.sha256)
        for table, found in ((table, digest(snapshot, table)) for table in metadata.sorted_tables)
    }
    manifest = Manifest(
        version=source.version,
        migration=HEAD,
        database=kind,
        source=None if identity is None else identity.source,
        clock=None if identity is None else identity.clock_mode,
        created_at=at,
        market_time=snapshot.execute(select(market_clock.c.now)).scalar_one_or_none(),
        dump=file_entry(dump),
        tables=tables,
        artifacts=entries(artifacts),
        left_out=left_out,
        editions=HeadEntry(number=heads.editions.number, hash=heads.editions.hash),
        score_batches=HeadEntry(number=heads.score_batches.number, hash=heads.score_batches.hash),
    )
    return manifest, {DUMPS[kind]: dump, **artifacts}


def _file_name(manifest: Manifest) -> str:
    source = re.sub(r"[^A-Za-z0-9]+", "-", (manifest.source or "empty").partition(":")[0])[:40]
    return f"tplus-{source}-{manifest.created_at.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar"


def _sqlite_file(database: Database) -> str:
    name = database.engine.url.database
    if not name or name == ":memory:" or name.startswith("file:"):
        raise DatabaseError(f"{display_url(database)} is not a file that can be backed up; use sqlite:///FILE")
    return name
