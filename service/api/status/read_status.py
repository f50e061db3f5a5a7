"""Builds the status, also of an empty database."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

from sqlalchemy import Connection, Row, inspect
from sqlalchemy.exc import SQLAlchemyError

from service.api.common import queries as common
from service.api.common.dependencies import Reader, Snapshot
from service.api.common.errors import database_fault
from service.api.status import queries as status
from service.api.status.schemas import (
    CalendarStatus,
    EditionStatus,
    FailedRun,
    SchedulerStatus,
    SourceFault,
    Status,
    TrainingStatus,
    WatchlistStatus,
)
from service.api.watchlist import queries as watchlist
from service.api.watchlist.queries import CacheKey
from service.clock import DatabaseClock
from service.errors import DatabaseError, NotYet
from service.market.instruments import STATISTICAL_GROUPS
from service.settings import Settings

_PASSING = "the database could not be read just now; retrying"


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
            return self._empty(fault)
        _refuse(fault, error)

    def within(self, snapshot: Snapshot) -> Status:
        """Return the status in a snapshot."""
        connection, settings, now = snapshot.connection, self.reader.settings, snapshot.now
        stamp, replay = common.stamp_row(connection), common.replay_row(connection)
        assert stamp is not None, "a snapshot has market time, which comes with the stamp"
        machine_now = DatabaseClock().now(connection)
        calendars = [_calendar(connection, settings, row, now) for row in status.calendar_editions(connection)]
        edition = status.newest_on_time(connection)
        due = [each.stale_after for each in calendars if each.stale_after is not None]
        is_replay = stamp.clock_mode == "replay" and replay is not None
        cache_key = watchlist.cache_key(connection)
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
            stale=any(each.stale for each in calendars),
            stale_after=min(due, default=None),
            calendars=calendars,
            scheduler=_scheduler(connection, settings, machine_now),
            watchlist=self._watchlist(connection, cache_key),
            training=_training(connection, machine_now),
            source_fault=_source_fault(status.faulty_pulls(connection)),
            last_failure=_failure(status.lasting_failure(connection)),
        )

    def _watchlist(self, connection: Connection, cache_key: CacheKey) -> WatchlistStatus:
        counted = self._counted
        if counted is None or counted.cache_key != cache_key:
            # This query reads every symbol: cached while nothing changed.
            counted = self._counted = _Counted(cache_key, status.with_forecast(connection))
        counts = {state: count for state, active, count, _since in cache_key.states if active}
        return WatchlistStatus(
            active=sum(counts.values()),
            with_forecast=counted.with_forecast,
            **{state: counts.get(state, 0) for state in ("suspect", "failing", "unknown")},
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
    raise DatabaseError(fault or _PASSING) from error


def _calendar(connection: Connection, settings: Settings, edition: Row[Any], now: datetime) -> CalendarStatus:
    stale_after = common.timing(connection, settings, edition.calendar, edition.as_of).stale_after
    return CalendarStatus(
        calendar=edition.calendar,
        as_of=edition.as_of,
        issued_at=edition.issued_at,
        mode=edition.mode,
        stale_after=stale_after,
        stale=stale_after is not None and now > stale_after,
    )


def _final_at(connection: Connection, settings: Settings, edition: Row[Any] | None) -> datetime | None:
    if edition is None:
        return None
    return common.timing(connection, settings, edition.calendar, edition.as_of).final_at


def _has_ended(connection: Connection, settings: Settings, now: datetime, record_end: date | None) -> bool:
    """Return whether every session of the record is final, on all calendars in use."""
    if record_end is None or now.date() < record_end - timedelta(days=7):
        return False
    seen: set[str] = set()
    beyond: set[str] = set()
    for calendar, day, close_at in status.last_closes(connection, record_end):
        seen.add(calendar)
        if day > record_end:
            beyond.add(calendar)
        elif close_at + settings.settle(calendar) > now:
            return False
    # Calendars are known to have ended only if sessions after the record's end are stored.
    return bool(seen) and beyond == seen


def _scheduler(connection: Connection, settings: Settings, machine_now: datetime) -> SchedulerStatus:
    heartbeat_at = common.newest_heartbeat(connection)
    lease = timedelta(seconds=settings.lease_seconds)
    return SchedulerStatus(
        alive=heartbeat_at is not None and machine_now - heartbeat_at <= lease, heartbeat_at=heartbeat_at
    )


def _training(connection: Connection, machine_now: datetime) -> TrainingStatus | None:
    run = status.running_training(connection, machine_now)
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


def _source_fault(pulls: list[Row[Any]]) -> SourceFault | None:
    if not pulls:
        return None
    scopes = [pull.scope for pull in pulls]
    others = f" (and those of {', '.join(sorted(scopes[1:]))})" if len(scopes) > 1 else ""
    first = pulls[0]
    why = first.error or "; ".join(first.warnings)
    return SourceFault(sentence=f"prices of {first.scope}{others} are not arriving: {why}", since=first.started_at)


def _failure(run: Row[Any] | None) -> FailedRun | None:
    return None if run is None else FailedRun.model_validate({**run._mapping, "run_id": run.id})
