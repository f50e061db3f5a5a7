"""Measures the phases of a run: seconds, CPU seconds, peak memory and rows of each.

A recorder collects the phases that are entered while its block is open, in its own thread and in threads that inherit
its context. Without a recorder a phase measures nothing. Phases may be nested: an outer one is without the inner ones,
so that the seconds of all of them add up to those of the run.
"""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from time import perf_counter, process_time, thread_time
from types import TracebackType
from typing import Self

_STATUS, _CLEAR = "/proc/self/status", "/proc/self/clear_refs"
_RESET_PEAK = b"5"


@dataclass(slots=True)
class PhaseUsage:
    """What one phase used, all its entries together.

    Attributes:
        name: Its name.
        seconds: Wall-clock seconds, without those of phases inside it.
        cpu_seconds: CPU seconds of its thread, or of its whole process in a worker; also without those inside it.
        peak_bytes: Largest resident memory of a process that worked on it; 0 where the system does not report it.
        rows: Rows that it worked on, 0 if it has none.
    """

    name: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    rows: int = 0

    def add(self, other: "PhaseUsage") -> None:
        """Add what another entry of the phase used."""
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        self.rows += other.rows


class PhaseRecorder:
    """Collects the phases that are entered inside its block.

    Attributes:
        cpu_clock: Returns CPU seconds.
        thread: The thread that entered the block.

    Args:
        whole_process: Whether the CPU seconds are those of all threads of the process: in a worker with one task.
    """

    def __init__(self, *, whole_process: bool = False) -> None:
        self.cpu_clock = process_time if whole_process else thread_time
        self._phases: dict[str, PhaseUsage] = {}
        self._lock = threading.Lock()
        self._token: Token[PhaseRecorder | None] | None = None

    def __enter__(self) -> Self:
        """Record from now on."""
        self._token = _RECORDER.set(self)
        self.thread = threading.get_ident()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record no more."""
        assert self._token is not None
        _RECORDER.reset(self._token)

    def add(self, usage: PhaseUsage) -> None:
        """Add what a phase used."""
        with self._lock:
            self._phases.setdefault(usage.name, PhaseUsage(usage.name)).add(usage)

    def phases(self) -> tuple[PhaseUsage, ...]:
        """Return the phases in the order in which they first ended."""
        with self._lock:
            return tuple(self._phases.values())


class Phase:
    """Measures its block as a phase of the recorder in force.

    In a thread other than the recorder's own only CPU seconds are counted: its wall-clock seconds pass meanwhile.

    Args:
        name: Name of the phase.
        rows: Rows that it works on; `rows` may be raised inside the block.
    """

    def __init__(self, name: str, rows: int = 0) -> None:
        self._name = name
        self.rows = rows
        self._recorder = _RECORDER.get()

    def __enter__(self) -> Self:
        """Begin to measure."""
        if self._recorder is None:
            return self
        self._outer = _OPEN.get()
        self._token = _OPEN.set(self)
        self._thread = threading.get_ident()
        self._peak = _PEAKS.begin(self)
        self._inner_seconds = self._inner_cpu = 0.0
        self._cpu, self._seconds = self._recorder.cpu_clock(), perf_counter()
        self._first_cpu, self._first_seconds = self._cpu, self._seconds
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Add what the block used to the recorder, and take it from the phase around it."""
        if self._recorder is None:
            return
        _OPEN.reset(self._token)
        self._record(self._name, self.rows, _PEAKS.end(self))
        if self._outer is not None and self._outer.is_of_this_thread:
            self._outer.without(self._seconds - self._first_seconds, self._cpu - self._first_cpu)

    @property
    def is_of_this_thread(self) -> bool:
        """Whether the phase was entered by the calling thread."""
        return self._thread == threading.get_ident()

    def without(self, seconds: float, cpu_seconds: float) -> None:
        """Leave out what an inner phase counts."""
        self._inner_seconds += seconds
        self._inner_cpu += cpu_seconds

    def lap(self, name: str, rows: int = 0) -> None:
        """Count what the block used since the last lap as a phase of another name."""
        if self._recorder is not None:
            self._record(name, rows, _PEAKS.so_far(self))

    def absorb(self, phases: Iterable[PhaseUsage]) -> None:
        """Count phases that another process measured while this one waited for it."""
        if self._recorder is not None:
            for usage in phases:
                self._recorder.add(usage)
                self._inner_seconds += usage.seconds

    def _record(self, name: str, rows: int, peak: int) -> None:
        assert self._recorder is not None
        cpu, seconds = self._recorder.cpu_clock(), perf_counter()
        overlaps = self._thread != self._recorder.thread
        self._recorder.add(
            PhaseUsage(
                name,
                0.0 if overlaps else max(seconds - self._seconds - self._inner_seconds, 0.0),
                max(cpu - self._cpu - self._inner_cpu, 0.0),
                peak,
                rows,
            )
        )
        self._cpu, self._seconds = cpu, seconds
        self._inner_seconds = self._inner_cpu = 0.0


def count_other_process(cpu_seconds: float, peak_bytes: int) -> None:
    """Count what another process used for the open phase, while this one waited for it.

    Args:
        cpu_seconds: Its CPU seconds since it was counted last.
        peak_bytes: Its largest resident memory.
    """
    phase = _OPEN.get()
    if phase is not None:
        phase.without(0.0, -cpu_seconds)
        _PEAKS.raise_to(phase, peak_bytes)


class _Peaks:
    """The largest resident memory of this process during each open phase.

    The system keeps one peak for the process. It is read and reset at the begin and the end of every phase, and what it
    was until then counts for each open one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, int] = {}

    def begin(self, phase: Phase) -> int:
        with self._lock:
            self._turn()
            self._open[id(phase)] = 0
        return 0

    def so_far(self, phase: Phase) -> int:
        with self._lock:
            self._turn()
            return self._open.get(id(phase), 0)

    def end(self, phase: Phase) -> int:
        with self._lock:
            self._turn()
            return self._open.pop(id(phase), 0)

    def raise_to(self, phase: Phase, peak: int) -> None:
        with self._lock:
            self._open[id(phase)] = max(self._open.get(id(phase), 0), peak)

    def _turn(self) -> None:
        peak = peak_memory()
        for key, before in self._open.items():
            self._open[key] = max(before, peak)
        with suppress(OSError):  # not Linux, or not allowed: each phase shows the peak of the process so far
            file = os.open(_CLEAR, os.O_WRONLY)
            try:
                os.write(file, _RESET_PEAK)
            finally:
                os.close(file)


def peak_memory() -> int:
    """Return this process's peak of resident memory since the last reset, bytes; 0 if the system does not report it.

    `getrusage` would begin with the peak of the process that started this one.
    """
    try:
        file = os.open(_STATUS, os.O_RDONLY)
    except OSError:
        return 0
    try:
        text = os.read(file, 4096)
    finally:
        os.close(file)
    found = text.partition(b"VmHWM:")[2].split(maxsplit=1)
    return int(found[0]) * 1024 if found else 0


_RECORDER: ContextVar[PhaseRecorder | None] = ContextVar("recorder", default=None)
_OPEN: ContextVar[Phase | None] = ContextVar("open_phase", default=None)
_PEAKS = _Peaks()
