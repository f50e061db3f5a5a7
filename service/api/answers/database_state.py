"""The state of the database that kept answers belong to: its cache key, its market time, what time changes in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import bindparam, func, select

from service.api.answers.cache_key import CacheKey, read_cache_key
from service.api.common.dependencies import Reader, Snapshot
from service.api.common.next_edition import NO_EDITION, NextEdition, NextEditions
from service.db.tables import editions

_NEXT_ISSUE = select(func.min(editions.c.issued_at)).where(
    editions.c.issued_at > bindparam("now", type_=editions.c.issued_at.type)
)
_INSTANT: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)
_SECONDS: TypeAdapter[float | None] = TypeAdapter(float | None)


def clock_texts(known_at: datetime, coming: NextEdition) -> Mapping[bytes, bytes]:
    """Return the fields of a forecast that change with time alone: name -> value, both as in JSON."""
    return {
        b"known_at": _INSTANT.dump_json(known_at),
        b"next_edition_at": _INSTANT.dump_json(coming.at),
        b"next_edition_in_seconds": _SECONDS.dump_json(coming.in_seconds),
    }


@dataclass(frozen=True, slots=True, eq=False)
class DatabaseState:
    """One state of the database; an answer of it says what a request at that instant would get.

    Attributes:
        cache_key: Differs whenever an answer may have changed.
        now: Aware UTC market time.
        next_issue_at: Market time of the first edition that is dated later; None without any.
        next_editions: Calendar -> its next edition.
    """

    cache_key: CacheKey
    now: datetime
    next_issue_at: datetime | None
    next_editions: Mapping[str, NextEdition]
    _texts: dict[str, Mapping[bytes, bytes]] = field(default_factory=dict)

    def texts(self, calendar: str) -> Mapping[bytes, bytes]:
        """Return what time changes in a forecast of a calendar, see `clock_texts`."""
        texts = self._texts.get(calendar)
        if texts is None:
            coming = self.next_editions.get(calendar, NO_EDITION)
            texts = self._texts[calendar] = clock_texts(self.now, coming)
        return texts

    def is_same_span(self, cache_key: CacheKey, now: datetime) -> bool:
        """Return whether nothing changed up to an instant, and no edition became visible."""
        is_later = self.now <= now and (self.next_issue_at is None or now < self.next_issue_at)
        return is_later and self.cache_key == cache_key


class StateReader:
    """Reads the state; used by one thread at a time.

    Args:
        reader: The database and the settings.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._before: DatabaseState | None = None

    def read(self) -> DatabaseState:
        """Return the state now.

        Raises:
            NotYet: the database is not set up.
            SQLAlchemyError: it cannot be read.
        """
        with self._reader.snapshot() as snapshot:
            state = self._before = read_state(snapshot, self._reader, self._before)
        return state


def read_state(snapshot: Snapshot, reader: Reader, before: DatabaseState | None = None) -> DatabaseState:
    """Return the state of a snapshot.

    Args:
        snapshot: The snapshot.
        reader: The settings.
        before: An earlier state: what only a change of the database changes is taken from it.
    """
    connection, now = snapshot.connection, snapshot.now
    cache_key = read_cache_key(connection)
    if before is not None and before.is_same_span(cache_key, now):
        # The same object, so that a comparison of the two costs nothing.
        cache_key, next_issue_at = before.cache_key, before.next_issue_at
    else:
        next_issue_at = connection.execute(_NEXT_ISSUE, {"now": now}).scalar_one_or_none()
    coming = NextEditions(connection, reader.settings, now)
    return DatabaseState(cache_key, now, next_issue_at, coming.by_calendar())
