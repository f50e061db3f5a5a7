"""Keeps answers in memory, bounded by their bytes; the one unused for longest makes room."""

from collections import OrderedDict
from typing import NamedTuple

from service.api.answers.answer import Answer
from service.api.answers.cache_key import CacheKey


class AnswerKey(NamedTuple):
    """What a request must have in common with an earlier one to get the same answer.

    Attributes:
        scheme: http or https; the entity tag is that of the whole address.
        host: The header `Host`.
        path: The path as it arrived.
        query: The query string.
    """

    scheme: str
    host: bytes
    path: str
    query: bytes


class AnswerCache:
    """Answers by key; used in the event loop only.

    Args:
        limit: Most bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: OrderedDict[AnswerKey, tuple[Answer, int]] = OrderedDict()
        self._cache_key: CacheKey | None = None
        self.size = 0

    def find(self, key: AnswerKey) -> Answer | None:
        """Return the answer of a key; None without one."""
        kept = self._answers.get(key)
        if kept is None:
            return None
        self._answers.move_to_end(key)
        return kept[0]

    def keep(self, key: AnswerKey, answer: Answer) -> None:
        """Keep an answer, unless it takes more than a quarter of the room."""
        size = answer.size + len(key.host) + len(key.path) + len(key.query)
        self.drop(key)
        if size * 4 > self._limit:
            return
        if self._cache_key == answer.cache_key:
            answer.cache_key = self._cache_key  # shared: copies would take more memory than a short answer
        self._cache_key = answer.cache_key
        self._answers[key] = answer, size
        self.size += size
        while self.size > self._limit:
            _, (_, size) = self._answers.popitem(last=False)
            self.size -= size

    def drop(self, key: AnswerKey) -> None:
        """Forget an answer."""
        kept = self._answers.pop(key, None)
        if kept is not None:
            self.size -= kept[1]
