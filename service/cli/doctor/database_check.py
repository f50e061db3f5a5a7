"""The database: reachable, at this version's migration, made for these settings, and safe."""

import os
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from service.api.common.errors import database_fault
from service.cli.doctor.findings import Finding, error, ok, warning
from service.clock import DatabaseClock, process_now
from service.db.engine import sqlite_file
from service.db.revision import HEAD
from service.db.session import Database, display_url
from service.errors import DatabaseError, StampMismatch, TplusError
from service.runtime.database_identity import check_stamp
from service.settings import Settings

SQLITE_FIXED = (3, 53, 0)
"""First release without the fault in which a reset of the write-ahead log can damage the file."""
SQLITE_PATCHED = (3, 51, 3)
"""First release of its series with the fix."""
_OLDEST_POSTGRESQL = 15
_SKEW = timedelta(seconds=1)


def open_database(settings: Settings) -> tuple[Database | None, list[Finding]]:
    """Return the opened database, None if it cannot be read, and what was found."""
    try:
        file = sqlite_file(settings.url)
        if file is not None and not file.exists():
            advice = "`tplus up` or `tplus db upgrade` creates it"
            return None, [warning("database", f"the database file {file} does not exist yet; {advice}")]
        database = Database(settings.url)
    except TplusError as fault:
        return None, [error("database", str(fault))]
    found = database_fault(database)
    if found is not None:
        database.close()
        return None, [error("database", found.detail)]
    findings = [ok("database", f"{display_url(database)} answers and is at migration {HEAD}")]
    if file is not None:
        findings += _check_file(file)
    return database, findings


def _check_file(file: Path) -> list[Finding]:
    if os.access(file, os.W_OK) and os.access(file.parent, os.W_OK):
        return []
    advice = f"give both to the user of the scheduler (this is user id {os.geteuid()})"
    return [warning("database", f"the file {file} or its folder cannot be written by this user; {advice}")]


def check_identity(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Yield whether the database belongs to the source and the clock of the settings."""
    try:
        check_stamp(connection, settings.source_name, settings.market_clock)
    except (StampMismatch, DatabaseError) as fault:
        yield error("identity", str(fault))
    else:
        yield ok("identity", f"the database is of source {settings.source_name} with the {settings.clock} clock")


def check_server(connection: Connection) -> Iterator[Finding]:
    """Yield the version of SQLite or PostgreSQL, and settings that can lose data."""
    if connection.dialect.name == "sqlite":
        yield sqlite_finding(sqlite3.sqlite_version_info)
        return
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10_000
    if version < _OLDEST_POSTGRESQL:
        yield error("server", f"PostgreSQL {version} is too old; use {_OLDEST_POSTGRESQL} or later")
    else:
        yield ok("server", f"PostgreSQL {version}")
    for name in ("fsync", "full_page_writes"):
        if connection.execute(text(f"SHOW {name}")).scalar_one() != "on":
            yield error("server", f"PostgreSQL's {name} is off, so a crash can damage the database; set {name} = on")
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        yield error("server", f"the database's encoding is {encoding}; create it with ENCODING 'UTF8'")


def sqlite_finding(version: tuple[int, ...]) -> Finding:
    """Return the finding on a version of SQLite."""
    shown = ".".join(map(str, version[:3]))
    if version >= SQLITE_FIXED or (version[:2] == SQLITE_PATCHED[:2] and version >= SQLITE_PATCHED):
        return ok("server", f"SQLite {shown}")
    return warning(
        "server",
        f"SQLite {shown} has a rare fault: processes that write at once can damage the file when its log is reset; "
        "run one scheduler only, keep backups, or use PostgreSQL; "
        f"{'.'.join(map(str, SQLITE_FIXED))} has the fix",
    )


def check_clock(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Yield the difference between this machine's clock and the database's, which leases depend on."""
    if connection.dialect.name == "sqlite":
        yield ok("clock", "the database uses this machine's clock")
        return
    before = process_now()
    database_now = DatabaseClock().now(connection)
    after = process_now()
    skew = database_now - (before + (after - before) / 2)
    uncertain = (after - before) / 2
    shown = f"this machine's clock differs by {skew.total_seconds():+.2f} s from the database's"
    if abs(skew) <= _SKEW + uncertain:
        yield ok("clock", shown)
    elif abs(skew) <= timedelta(seconds=settings.lease_seconds):
        yield warning("clock", f"{shown}; synchronise both with a time server (NTP)")
    else:
        yield error("clock", f"{shown}, more than a lease; synchronise both with a time server (NTP)")
