"""One kept answer: its bytes with gaps for what time changes, and how long it holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf

from service.api.answers.cache_key import CacheKey
from service.api.answers.database_state import DatabaseState
from service.api.common.etag import SLOT
from service.api.server.ready_answers import LARGE

_OVERHEAD = 1000
"""Bytes of the objects of an answer, about."""


class Template:
    """A JSON document with gaps.

    Attributes:
        parts: The bytes around the gaps, one more than there are gaps.
        gaps: Calendar and name of the field of each gap.
    """

    __slots__ = ("gaps", "parts")

    def __init__(self, parts: Sequence[bytes], gaps: Sequence[tuple[str, bytes]]) -> None:
        self.parts, self.gaps = tuple(parts), tuple(gaps)

    @staticmethod
    def of(documents: Sequence[tuple[bytes, str, Mapping[bytes, bytes]]]) -> "Template":
        """Return the template of documents that follow each other.

        Args:
            documents: Bytes, the calendar whose time they hold, and its fields as `clock_texts` returns them.
        """
        parts: list[bytes] = []
        gaps: list[tuple[str, bytes]] = []
        rest: list[bytes] = []
        for document, calendar, texts in documents:
            start = 0
            for place, name, end in sorted(_places(document, texts)):
                parts.append(b"".join([*rest, document[start:place]]))
                gaps.append((calendar, name))
                start, rest = end, []
            rest.append(document[start:])
        return Template([*parts, b"".join(rest)], gaps)

    def pieces(self, state: DatabaseState) -> list[bytes]:
        """Return the document at a state, in pieces."""
        pieces = [self.parts[0]]
        for part, (calendar, name) in zip(self.parts[1:], self.gaps, strict=True):
            pieces += (state.texts(calendar)[name], part)
        return pieces


@dataclass(slots=True, eq=False)
class Answer:
    """A kept answer.

    Attributes:
        route: Route template, for the metrics and the log.
        template: Its JSON document.
        cache_key: Of the state it was made at: it holds at this key only.
        since: Market time it was made at (inclusive bound).
        until: Market time at which it no longer holds (exclusive bound).
        tag: Its entity tag.
        vary: Value of the header `Vary`; empty = none.
        expires: When it expires in any case, by the monotonic clock.
        fresh: The newest copy of a large document, and the state that it was made for.
        head: Its own headers, as they are sent.
        length: Bytes of its document without what time changes.
    """

    route: str
    template: Template
    cache_key: CacheKey
    since: datetime
    until: datetime
    tag: str
    vary: str = ""
    expires: float = inf
    fresh: tuple[DatabaseState, bytes] | None = None
    head: bytes = field(init=False)
    length: int = field(init=False)

    def __post_init__(self) -> None:
        vary = f"vary: {self.vary}\r\n" if self.vary else ""
        self.head = f"{vary}etag: {self.tag}\r\n".encode()
        self.length = sum(len(part) for part in self.template.parts)

    def holds(self, state: DatabaseState, now: float) -> bool:
        """Return whether it is the answer at a state, at a time of the monotonic clock."""
        is_same = self.cache_key is state.cache_key or self.cache_key == state.cache_key
        if is_same:
            self.cache_key = state.cache_key  # the next comparison is short
        return is_same and self.since <= state.now < self.until and now < self.expires

    def pieces(self, state: DatabaseState) -> list[bytes]:
        """Return the document at a state, in pieces; a large one in one, kept until the state changes."""
        if self.length <= LARGE:
            return self.template.pieces(state)
        fresh = self.fresh
        if fresh is None or fresh[0] is not state:
            fresh = self.fresh = state, b"".join(self.template.pieces(state))
        return [fresh[1]]

    @property
    def size(self) -> int:
        """Return about how many bytes of memory it takes, with the copy of a large document."""
        copies = 2 if self.length > LARGE and self.template.gaps else 1
        return _OVERHEAD + self.length * copies + 100 * len(self.template.gaps)


def next_change(now: datetime, *instants: datetime | None) -> datetime:
    """Return until when an answer made now holds: the tag's next slot, or an earlier instant after now."""
    seconds = SLOT.total_seconds()
    slot = datetime.fromtimestamp((now.timestamp() // seconds + 1) * seconds, UTC)
    return min([slot, *(at for at in instants if at is not None and at > now)])


def _places(document: bytes, texts: Mapping[bytes, bytes]) -> Iterator[tuple[int, bytes, int]]:
    """Yield where the fields of a document are that time changes: start of the value, name, end."""
    for name, value in texts.items():
        # A text in JSON has no bare quotation mark, so no text can hold such a name.
        found = document.find(b'"%b":%b' % (name, value))
        if found >= 0:
            end = found + len(name) + 3 + len(value)
            yield end - len(value), name, end
