"""Stores and checks the identity of a database.

The identity is its source, its market clock, and the start of its market time.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection, insert, select, update

from service.clock import instant_text
from service.db.tables import change_counters, market_clock, stamp
from service.errors import SettingsError, StampMismatch
from service.prices.sources.base import Record
from service.settings import ClockSetting

_FILES = "files:"
_NAMED_FAULTS = 20
"""Number of files whose reasons are printed when none can be read."""

DEFAULT_REPLAY_DAYS = 286
"""A replay without a START begins this many days before the record ends.

That is about 196 sessions of an exchange: the fast start, and more than ten minutes at the default speed.
"""


def ensure_stamp(
    connection: Connection,
    source: str,
    clock: ClockSetting,
    machine_now: datetime,
    record: Record | None,
    faults: Sequence[str] = (),
) -> None:
    """Stamp a new database, or check that an old one is of the same kind.

    Args:
        connection: An open write transaction.
        source: The source's name, `PriceSource.name`.
        clock: The market clock of the settings.
        machine_now: Aware UTC machine time.
        record: The span of a recorded source, None for a live one.
        faults: Why the files of a source without a record cannot be read.

    Raises:
        StampMismatch: the database was made for another source, another clock, or a later START.
        SettingsError: a replay without a record, or a START outside it.
    """
    row = connection.execute(select(stamp)).one_or_none()
    if row is not None:
        check_stamp(connection, source, clock)
        follow_record(connection, record)
        return
    if record is None and source.startswith(_FILES) and clock.mode == "replay":
        raise SettingsError(_unreadable(source, faults))
    start_at = _start_at(clock, machine_now, record)
    connection.execute(
        insert(stamp).values(id=1, source=source, clock_mode=clock.mode, start_at=start_at, created_at=machine_now)
    )
    connection.execute(insert(change_counters).values(scope="", counter=0))
    if clock.mode == "replay" and record is not None:
        connection.execute(insert(market_clock).values(id=1, now=start_at, record_end=record.last))


def follow_record(connection: Connection, record: Record | None) -> date | None:
    """Store the end of a replayed record that has grown; return the end that is stored then.

    A record that became shorter keeps its end: market time may have passed the new one.

    Args:
        connection: An open write transaction.
        record: The span of the record now; None without one.
    """
    stored: date | None = connection.execute(select(market_clock.c.record_end)).scalar_one_or_none()
    if stored is None or record is None or record.last <= stored:
        return stored
    connection.execute(update(market_clock).values(record_end=record.last))
    return record.last


def check_stamp(connection: Connection, source: str, clock: ClockSetting) -> None:
    """Refuse a database of another source, clock mode or later START.

    A database without a stamp passes.

    Raises:
        StampMismatch: see `ensure_stamp`.
    """
    row = connection.execute(select(stamp)).one_or_none()
    if row is None:
        return
    if (row.source, row.clock_mode) != (source, clock.mode):
        raise StampMismatch(
            f"the database was made for source {row.source} with the {row.clock_mode} clock, "
            f"the settings name {source} with the {clock.mode} clock; "
            "change them to match, or set another TPLUS_DATABASE_URL"
        )
    if clock.start is not None and clock.start < row.start_at:
        raise StampMismatch(
            f"the database's market time starts at {instant_text(row.start_at)}, "
            f"START {instant_text(clock.start)} is earlier; use a new database for an earlier START"
        )


def _start_at(clock: ClockSetting, machine_now: datetime, record: Record | None) -> datetime:
    if clock.mode == "system":
        return machine_now
    if record is None:
        raise SettingsError("this source has no record of the past and cannot replay; set TPLUS_CLOCK=system")
    start = clock.start or _midnight(max(record.first, record.last - timedelta(days=DEFAULT_REPLAY_DAYS)))
    if not _midnight(record.first) <= start < _midnight(record.last) + timedelta(days=2):
        raise SettingsError(
            f"TPLUS_CLOCK starts at {start.date()}, outside the record of {record.first} to {record.last}; "
            "choose a START inside it"
        )
    return start


def _unreadable(source: str, faults: Sequence[str]) -> str:
    """Return the sentence for a folder in which nothing can be read, with the reason of each file."""
    if not faults:
        return f"TPLUS_SOURCE {source} has no readable price file; add CSV or Parquet files"
    more = len(faults) - _NAMED_FAULTS
    rest = f"; and {more} more" if more > 0 else ""
    folder = source.removeprefix(_FILES)
    return (
        f"TPLUS_SOURCE {source} has no readable price file: {'; '.join(faults[:_NAMED_FAULTS])}{rest}; "
        f"`tplus files check {folder}` lists all files"
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0), UTC)
