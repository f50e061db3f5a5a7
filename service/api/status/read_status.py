"""Builds the status, also of an empty database."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NoReturn

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from service.api.answers.cache_key import CacheKey, read_cache_key
from service.api.common import queries as common
from service.api.common.dependencies import Reader, Snapshot
from service.api.common.errors import database_fault
from service.api.common.next_edition import NextEditions
from service.api.common.rows import EditionRow, RunRow
from service.api.status import queries as status
from service.api.status.read_source_fault import read_source_fault
from service.api.status.schemas import (
    CalendarStatus,
    EditionStatus,
    FailedRun,
    SchedulerStatus,
    Status,
    TrainingStatus,
    WatchlistStatus,
)
from service.clock import DatabaseClock
from service.errors import DatabaseError, NotYet
from service.market.instruments import STATISTICAL_GROUPS
from service.market.time_zones import time_zone
from service.settings import Settings
from service.vocabulary import SymbolState

_TRANSIENT = "the database could not be read just now; retrying"


@dataclass(frozen=True, slots=True)
class _Counted:
    """A count with the cache key at which it was taken."""

    cache_key: CacheKey
    with_forecast: int


class StatusReader:
    """Reads the status; thread-safe.

    Args:
        reader: The database and the settings.
        version: The service's version.
    """

    def __init__(self, reader: Reader, version: str) -> None:
        self.reader = reader
        self._version = version
        self._counted: _Counted | None = None

    def read(self) -> Status:
        """Return the status now.

        Raises:
            DatabaseError: the database cannot be read, or is at another migration.
        """
        try:
            with self.reader.snapshot() as snapshot:
                return self.within(snapshot)
        except (NotYet, SQLAlchemyError) as error:
            return self.without(error)

    def without(self, error: NotYet | SQLAlchemyError) -> Status:
        """Return the status of an empty database, for the error of reading it.

        Raises:
            DatabaseError: the error has another cause, which the message gives.
        """
        if isinstance(error, NotYet):
            return self._empty(str(error))
        fault = database_fault(self.reader.database)
        if fault is not None and self._has_no_tables():
            return self._empty(fault.sentence)
        _refuse(None if fault is None else fault.sentence, error)

    def within(self, snapshot: Snapshot) -> Status:
        """Return the status in a snapshot."""
        connection, settings, now = snapshot.connection, self.reader.settings, snapshot.now
        stamp, replay = common.read_stamp(connection), common.read_replay_clock(connection)
        assert stamp is not None, "a snapshot has market time, which comes with the stamp"
        machine_now = DatabaseClock().now(connection)
        next_editions = NextEditions(connection, settings, now)
        calendars = [
            _calendar(connection, settings, row, now, next_editions)
            for row in status.read_calendar_editions(connection)
        ]
        edition = status.read_newest_on_time_edition(connection)
        due = [calendar.stale_after for calendar in calendars if calendar.stale_after is not None]
        is_replay = stamp.clock_mode == "replay" and replay is not None
        cache_key = read_cache_key(connection)
        coming = next_editions.first(status.read_active_calendars(connection))
        return Status(
            now=now,
            clock=stamp.clock_mode,
            source=stamp.source,
            version=self._version,
            record_end=replay.record_end if is_replay and replay is not None else None,
            record_ended=is_replay and replay is not None and _has_ended(connection, settings, now, replay.record_end),
            speed=settings.market_clock.speed if is_replay else None,
            counter=cache_key.counter,
            edition=None if edition is None else EditionStatus.of(edition),
            data_as_of=_final_at(connection, settings, edition),
            stale=any(calendar.stale for calendar in calendars),
            stale_after=min(due, default=None),
            next_edition_at=coming.at,
            next_edition_in_seconds=coming.in_seconds,
            calendars=calendars,
            scheduler=_scheduler(connection, settings, machine_now),
            watchlist=self._watchlist(connection, cache_key),
            training=_training(connection, machine_now),
            source_fault=read_source_fault(connection),
            last_failure=_failure(status.read_lasting_failure(connection)),
        )

    def _watchlist(self, connection: Connection, cache_key: CacheKey) -> WatchlistStatus:
        counted = self._counted
        if counted is None or counted.cache_key != cache_key:
            # This query reads every symbol: cached while nothing changed.
            counted = self._counted = _Counted(cache_key, status.read_forecast_count(connection))
        counts = {group.state: group.symbols for group in cache_key.states if group.active}
        return WatchlistStatus(
            active=sum(counts.values()),
            with_forecast=counted.with_forecast,
            suspect=counts.get(SymbolState.SUSPECT, 0),
            failing=counts.get(SymbolState.FAILING, 0),
            unknown=counts.get(SymbolState.UNKNOWN, 0),
        )

    def _empty(self, notice: str) -> Status:
        settings = self.reader.settings
        clock = settings.market_clock
        return Status(
            notice_kind="empty",
            notice=notice,
            clock=clock.mode,
            source=settings.source_name,
            version=self._version,
            speed=clock.speed if clock.mode == "replay" else None,
        )

    def _has_no_tables(self) -> bool:
        try:
            return not inspect(self.reader.database.engine).get_table_names()
        except SQLAlchemyError:
            return False


def _refuse(fault: str | None, error: Exception) -> NoReturn:
    raise DatabaseError(fault or _TRANSIENT) from error


def _calendar(
    connection: Connection, settings: Settings, edition: EditionRow, now: datetime, next_editions: NextEditions
) -> CalendarStatus:
    coming = next_editions.first([edition.calendar])
    stale_after = common.read_timing(connection, settings, edition.calendar, edition.as_of).stale_after
    return CalendarStatus(
        calendar=edition.calendar,
        time_zone=time_zone(edition.calendar),
        as_of=edition.as_of,
        issued_at=edition.issued_at,
        mode=edition.mode,
        stale_after=stale_after,
        stale=stale_after is not None and now > stale_after,
        next_edition_at=coming.at,
        next_edition_in_seconds=coming.in_seconds,
    )


def _final_at(connection: Connection, settings: Settings, edition: EditionRow | None) -> datetime | None:
    if edition is None:
        return None
    return common.read_timing(connection, settings, edition.calendar, edition.as_of).final_at


def _has_ended(connection: Connection, settings: Settings, now: datetime, record_end: date | None) -> bool:
    """Return whether every session of the record is final, on all calendars in use."""
    if record_end is None or now.date() < record_end - timedelta(days=7):
        return False
    seen: set[str] = set()
    beyond: set[str] = set()
    for calendar, day, close_at in status.read_last_closes(connection, record_end):
        seen.add(calendar)
        if day > record_end:
            beyond.add(calendar)
        elif close_at + settings.settle(calendar) > now:
            return False
    # Calendars are known to have ended only if sessions after the record's end are stored.
    return bool(seen) and beyond == seen


def _scheduler(connection: Connection, settings: Settings, machine_now: datetime) -> SchedulerStatus:
    heartbeat_at = common.read_newest_heartbeat(connection)
    lease = timedelta(seconds=settings.lease_seconds)
    return SchedulerStatus(
        alive=heartbeat_at is not None and machine_now - heartbeat_at <= lease, heartbeat_at=heartbeat_at
    )


def _training(connection: Connection, machine_now: datetime) -> TrainingStatus | None:
    run = status.read_running_training(connection, machine_now)
    if run is None:
        return None
    return TrainingStatus(
        group=run.scope,
        run_id=run.id,
        since=run.started_at,
        progress=run.progress,
        detail=run.progress_detail,
        first=run.scope not in STATISTICAL_GROUPS and not status.has_network(connection, run.scope),
    )


def _failure(run: RunRow | None) -> FailedRun | None:
    return None if run is None else FailedRun.model_validate({**run._asdict(), "run_id": run.id})
