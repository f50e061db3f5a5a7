"""Counts requests in moving windows in memory that all workers of one machine share."""

import fcntl
import hashlib
import mmap
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

DIVISIONS = 60
"""Parts of a window: one that has begun counts whole, so a window allows up to 1/60 too few, never too many."""

_RING = 64
"""Counts of a key: those of the window, the one that has begun, and a few for the next."""

_WAYS = 8
_SETS = 1024
_HEAD = 3
_SLOT_WORDS = _HEAD + _RING // 2
"""A slot is the key's hash, its newest part of a window, when it was used (ms), and the counts, two in a word."""

_HEADER_WORDS = 8
_WORD = 8
SIZE = _WORD * (_HEADER_WORDS + _SETS * _WAYS * _SLOT_WORDS)
"""Bytes of the memory: 8,192 keys. A further key takes the place of the one unused for longest of its set."""

_MOST_PLACES = 4096
"""Keys whose place is remembered, instead of computed for each request."""

_LOCK_TRIES = 40
_LOCK_WAIT_SECONDS = 0.0005


class Window(NamedTuple):
    """State of a key's window.

    Attributes:
        number: Requests in it.
        free_in: Seconds until the oldest of them leaves it; 0 if there are none.
    """

    number: int
    free_in: float


class SharedWindows:
    """Moving windows of many keys in memory of a fixed size.

    Processes exclude each other by locks on ranges of the file, which the system releases when a process dies.

    Args:
        file: Descriptor of `shared_file()`, for several processes; None = this process alone.
        clock: Seconds that never go back, the same for all processes.
    """

    def __init__(self, file: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._clock = file, clock
        self._memory = mmap.mmap(-1, SIZE) if file is None else mmap.mmap(file, SIZE)
        view = memoryview(self._memory)
        self._words, self._counts = view.cast("Q"), view.cast("I")
        self._threads = threading.Lock()
        with self._locked(_SETS):
            if not self._words[0]:  # a random key of the hash: nobody can choose keys that share a set
                self._words[0] = int.from_bytes(os.urandom(8), "little") | 1
        self._salt = self._words[0].to_bytes(8, "little")
        self._places: dict[str, tuple[int, int]] = {}

    def acquire(self, key: str, limit: int, seconds: float, amount: int = 1) -> bool:
        """Count requests if they fit into the window.

        Args:
            key: Whose requests.
            limit: Most requests in a window.
            seconds: Length of a window.
            amount: How many.
        """
        digest, way_set = self._place(key)
        with self._locked(way_set):
            now = self._clock()
            bucket = int(now * DIVISIONS / seconds)
            slot = self._find(digest, way_set, bucket)
            self._forget_old(slot, bucket)
            self._words[slot + 2] = int(now * 1000)
            if self._sum(slot, bucket) + amount > limit:
                return False
            self._counts[self._count_at(slot, bucket)] += amount
            return True

    def hit(self, key: str, limit: int, seconds: float) -> tuple[bool, Window]:
        """Count one request if it fits into the window; returns whether it did, and the window after it."""
        digest, way_set = self._place(key)
        self._threads.acquire()  # by hand: a context manager takes longer than what it guards
        is_locked = self._file is not None and self._lock(way_set)
        try:
            is_counted, number, first, bucket, now = self._hit(digest, way_set, limit, seconds)
        finally:
            if is_locked and self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, way_set)
            self._threads.release()
        if not number:
            return is_counted, Window(0, 0.0)
        leaves = (bucket + first + 1) * seconds / DIVISIONS
        return is_counted, Window(number, max(0.0, leaves - now))

    def _hit(self, digest: int, way_set: int, limit: int, seconds: float) -> tuple[bool, int, int, int, float]:
        """Count in a locked slot; returns whether, the number, the first part with any, the part now, and the time."""
        now = self._clock()
        bucket = int(now * DIVISIONS / seconds)
        slot = self._find(digest, way_set, bucket)
        self._forget_old(slot, bucket)
        self._words[slot + 2] = int(now * 1000)
        start, oldest = 2 * (slot + _HEAD), bucket - DIVISIONS
        ring = self._counts[start : start + _RING].tolist()
        ahead = [ring[(bucket + place) % _RING] for place in range(1, _RING - DIVISIONS)]
        number = sum(ring) - sum(ahead)
        is_counted = number < limit
        if is_counted:
            ring[bucket % _RING] += 1
            self._counts[start + bucket % _RING] += 1
            number += 1
        first = 0
        while number and not ring[(oldest + first) % _RING]:
            first += 1
        return is_counted, number, first, bucket, now

    def window(self, key: str, seconds: float) -> Window:
        """Return the state of a key's window."""
        digest, way_set = self._place(key)
        with self._locked(way_set):
            now = self._clock()
            bucket = int(now * DIVISIONS / seconds)
            slot = self._find(digest, way_set, bucket)
            self._forget_old(slot, bucket)
            filled = [b for b in range(bucket - DIVISIONS, bucket + 1) if self._counts[self._count_at(slot, b)]]
            if not filled:
                return Window(0, 0.0)
            leaves = (filled[0] + DIVISIONS + 1) * seconds / DIVISIONS
            return Window(self._sum(slot, bucket), max(0.0, leaves - now))

    def clear(self) -> None:
        """Forget every key."""
        for way_set in range(_SETS):
            with self._locked(way_set):
                start = _WORD * (_HEADER_WORDS + way_set * _WAYS * _SLOT_WORDS)
                self._memory[start : start + _WORD * _WAYS * _SLOT_WORDS] = bytes(_WORD * _WAYS * _SLOT_WORDS)

    def _place(self, key: str) -> tuple[int, int]:
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            place = self._places[key] = self._new_place(key)
        return place

    def _new_place(self, key: str) -> tuple[int, int]:
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self._salt).digest()
        number = int.from_bytes(digest, "little") | 1  # 0 is an empty slot
        return number, (number >> 1) % _SETS

    def _find(self, digest: int, way_set: int, bucket: int) -> int:
        """Return the first word of the key's slot; a new key gets an empty one, else that unused for longest."""
        first = _HEADER_WORDS + way_set * _WAYS * _SLOT_WORDS
        slots = range(first, first + _WAYS * _SLOT_WORDS, _SLOT_WORDS)
        for slot in slots:
            if self._words[slot] == digest:
                return slot
        slot = min(slots, key=lambda each: self._words[each + 2] if self._words[each] else 0)
        self._words[slot] = digest
        self._words[slot + 1] = bucket
        self._zero(slot, 0, _RING)
        return slot

    def _forget_old(self, slot: int, bucket: int) -> None:
        last = self._words[slot + 1]
        if bucket > last:
            first = (last + 1) % _RING
            number = min(bucket - last, _RING)
            self._zero(slot, first, min(number, _RING - first))
            self._zero(slot, 0, max(0, number - (_RING - first)))
            self._words[slot + 1] = bucket

    def _zero(self, slot: int, first: int, number: int) -> None:
        start = _WORD * (slot + _HEAD) + 4 * first
        self._memory[start : start + 4 * number] = bytes(4 * number)

    def _count_at(self, slot: int, bucket: int) -> int:
        return 2 * (slot + _HEAD) + bucket % _RING

    def _sum(self, slot: int, bucket: int) -> int:
        start, ring = 2 * (slot + _HEAD), self._counts
        unused = sum(ring[start + (bucket + ahead) % _RING] for ahead in range(1, _RING - DIVISIONS))
        return sum(ring[start : start + _RING]) - unused

    @contextmanager
    def _locked(self, way_set: int) -> Iterator[None]:
        with self._threads:
            is_locked = self._file is not None and self._lock(way_set)
            try:
                yield
            finally:
                if is_locked and self._file is not None:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, way_set)

    def _lock(self, way_set: int) -> bool:
        """Return whether the lock was taken: a stopped process must not stop the others, a lost count is cheaper."""
        assert self._file is not None
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, way_set)
            except OSError:
                time.sleep(_LOCK_WAIT_SECONDS)
            else:
                return True
        return False


def shared_file() -> int:
    """Return a descriptor of memory for `SharedWindows`, to be passed on to child processes."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("tplus-rate-limits")
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, SIZE)
    return file
