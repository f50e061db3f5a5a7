"""Polls the database: differences from the poll before become events."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from service.api.common.rows import EditionRow
from service.api.events import queries
from service.api.events.queries import LiveRequestRow, LiveRunRow
from service.api.events.schemas import ChangeEvent, FaultEvent, ProgressEvent, RunEvent, RunRequestEvent
from service.api.status.read_status import StatusReader
from service.api.status.schemas import EditionStatus, Status
from service.api.watchlist.queries import read_symbol_counters
from service.errors import NotYet, TplusError
from service.run_requests.store import OPEN_STATES

MOST_ROWS = 200
"""Most editions, and runs, in one poll; the newest of more."""

MOST_SYMBOLS = 200
"""Most symbols in one `change`; null for more."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event, made once for all clients.

    Attributes:
        kind: `status`, `edition`, `run`, `progress`, `run_request`, `change` or `fault`.
        data: A JSON document.
        counter: The change counter at which it was seen, its `id`; None for a fault.
    """

    kind: str
    data: str
    counter: int | None

    @staticmethod
    def of(kind: str, document: BaseModel, counter: int | None) -> "Event":
        """Return an event with a document."""
        return Event(kind, document.model_dump_json(), counter)


@dataclass(frozen=True, slots=True)
class Poll:
    """Result of one poll.

    Attributes:
        news: Differences from the poll before, in order; a changed status comes last.
        first: First event for a client that connects now: the status, or the fault.
        counter: The change counter; None if the database cannot be read or is empty.
    """

    news: tuple[Event, ...]
    first: Event
    counter: int | None


class Watcher:
    """Polls one database; one thread at a time.

    Args:
        status: Reads the status.
    """

    def __init__(self, status: StatusReader) -> None:
        self._status = status
        self._counter: int | None = None
        self._symbols: dict[str, int] = {}
        self._edition = 0
        self._newest_run = 0
        self._runs: dict[int, LiveRunRow] = {}
        self._newest_request = 0
        self._requests: dict[int, LiveRequestRow] = {}
        self._reported: str | None = None

    def poll(self) -> Poll:
        """Read the database once; an error becomes a fault."""
        try:
            with self._status.reader.snapshot() as snapshot:
                status = self._status.within(snapshot)
                news = tuple(self._compare(snapshot.connection, status.counter))
        except (NotYet, SQLAlchemyError) as error:
            try:
                return self._status_poll((), self._status.without(error), None)
            except TplusError as fault:
                return self._fault_poll(fault)
        except TplusError as fault:
            return self._fault_poll(fault)
        return self._status_poll(news, status, status.counter)

    def _status_poll(self, news: tuple[Event, ...], status: Status, counter: int | None) -> Poll:
        event = Event.of("status", status, status.counter)
        if counter is None:  # an empty database: everything later is new
            self._counter, self._symbols = 0, {}
            self._edition, self._newest_run, self._runs = 0, 0, {}
            self._newest_request, self._requests = 0, {}
        mark = _status_mark(status)
        if mark != self._reported:
            self._reported = mark
            news = (*news, event)
        return Poll(news, event, counter)

    def _fault_poll(self, fault: TplusError) -> Poll:
        event = Event.of("fault", FaultEvent(detail=str(fault)), None)
        news = () if self._reported == event.data else (event,)
        self._reported = event.data
        return Poll(news, event, None)

    def _compare(self, connection: Connection, counter: int) -> Iterator[Event]:
        if self._counter is None:
            self._begin(connection, counter)
            return
        if counter < self._counter:  # another database replaced the one before
            self._begin(connection, counter)
            yield Event.of("change", ChangeEvent(counter=counter, symbols=None), counter)
            return
        changed = counter != self._counter
        # Read everything first: a database that fails half way must not change what was seen.
        published = queries.read_editions_after(connection, self._edition, MOST_ROWS) if changed else []
        rows = queries.read_changed_runs(connection, self._newest_run, self._runs, MOST_ROWS)
        requests = queries.read_changed_requests(connection, self._newest_request, self._requests, MOST_ROWS)
        symbols = read_symbol_counters(connection) if changed else self._symbols
        yield from self._editions(published, counter)
        yield from self._changed_runs(rows, counter)
        yield from self._changed_requests(requests, counter)
        if changed:
            yield self._change(symbols, counter)

    def _begin(self, connection: Connection, counter: int) -> None:
        """Record the state of the first poll; it is not news."""
        self._edition, self._newest_run = (
            queries.read_newest_edition_number(connection),
            queries.read_newest_run_id(connection),
        )
        self._runs = {row.id: row for row in queries.read_changed_runs(connection, self._newest_run, (), MOST_ROWS)}
        self._newest_request = queries.read_newest_request_id(connection)
        open_requests = queries.read_changed_requests(connection, self._newest_request, (), MOST_ROWS)
        self._requests = {row.id: row for row in open_requests}
        self._symbols = read_symbol_counters(connection)
        self._counter = counter

    def _editions(self, rows: list[EditionRow], counter: int) -> Iterator[Event]:
        for row in rows:
            self._edition = row.number
            yield Event.of("edition", EditionStatus.of(row), counter)

    def _changed_runs(self, rows: list[LiveRunRow], counter: int) -> Iterator[Event]:
        before, self._runs = self._runs, {row.id: row for row in rows if queries.is_open(row)}
        self._newest_run = max((self._newest_run, *(row.id for row in rows)))
        for row in rows:
            old = before.get(row.id)
            if old is None or _plain(old) != _plain(row):
                yield Event.of("run", RunEvent.of(row), counter)
            if row.progress is not None and (old is None or _progress(old) != _progress(row)):
                progress = ProgressEvent(run_id=row.id, progress=row.progress, detail=row.progress_detail)
                yield Event.of("progress", progress, counter)

    def _changed_requests(self, rows: list[LiveRequestRow], counter: int) -> Iterator[Event]:
        before, self._requests = self._requests, {row.id: row for row in rows if row.state in OPEN_STATES}
        self._newest_request = max((self._newest_request, *(row.id for row in rows)))
        for row in rows:
            if before.get(row.id) != row:
                runs = (row.result or {}).get("runs", [])
                event = RunRequestEvent(id=row.id, kind=row.kind, state=row.state, reason=row.error, runs=runs)
                yield Event.of("run_request", event, counter)

    def _change(self, symbols: dict[str, int], counter: int) -> Event:
        before, self._symbols, self._counter = self._symbols, symbols, counter
        changed = sorted(symbol for symbol, own in self._symbols.items() if before.get(symbol) != own)
        named = changed if len(changed) <= MOST_SYMBOLS else None
        return Event.of("change", ChangeEvent(counter=counter, symbols=named), counter)


def _progress(row: LiveRunRow) -> tuple[float | None, str | None]:
    return row.progress, row.progress_detail


def _plain(row: LiveRunRow) -> tuple[Any, ...]:
    """Return the part of a run that a `run` event reports; progress is an event of its own."""
    return row.state, row.error, row.warnings, row.counts


def _status_mark(status: Status) -> str:
    """Return the status without the parts that change all the time or have events of their own."""
    plain = status.model_dump(mode="json", exclude={"counter": True, "scheduler": {"heartbeat_at"}})
    if status.clock == "system":
        plain.pop("now")
    for each in (plain, *plain["calendars"]):  # a countdown is news only when it begins or ends
        each["next_edition_in_seconds"] = each["next_edition_in_seconds"] is not None
    if plain["training"] is not None:
        plain["training"] |= {"progress": None, "detail": None}
    return json.dumps(plain, sort_keys=True)
