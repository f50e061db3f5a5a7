"""Small tasks that another process can import by name."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.phases import Phase

Report = Callable[[Any], None]


def whereabouts(_request: None, _report: Report) -> int:
    """Return the id of the process that runs the task."""
    return os.getpid()


def count_to(last: int, report: Report) -> int:
    """Report 1 to `last`."""
    for number in range(1, last + 1):
        report(number)
    return last


def fail(sentence: str, _report: Report) -> None:
    """Raise."""
    raise ValueError(sentence)


def die(_request: None, _report: Report) -> None:
    """Kill the process, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(seconds: float, _report: Report) -> None:
    """Sleep."""
    time.sleep(seconds)


def mutter(words: str, _report: Report) -> None:
    """Write directly to the descriptor of standard error."""
    os.write(2, words.encode())


def hold_the_lock(seconds: int, report: Report) -> None:
    """Sleep in native code that holds Python's global lock: no other thread of the process runs."""
    report(os.getpid())
    ctypes.PyDLL(None).sleep(seconds)


def start_program(seconds: int, report: Report) -> None:
    """Start a program, as a library does, report its process id, and wait for it."""
    with subprocess.Popen(["sleep", str(seconds)]) as program:
        report(program.pid)


def measured(rows: int, _report: Callable[[Any], None]) -> int:
    """Enter a phase with that many rows."""
    with Phase("count", rows=rows):
        return sum(range(rows))


def report_and_sleep(seconds: float, report: Report) -> None:
    """Report the process id, then sleep."""
    report(os.getpid())
    time.sleep(seconds)


def die_once(marker: Path, report: Report) -> int:
    """Report 1 and kill the process the first time; then report 1 and 2 and return 2."""
    report(1)
    if not marker.exists():
        marker.touch()
        time.sleep(0.5)  # the report is on its way
        os.kill(os.getpid(), signal.SIGKILL)
    report(2)
    return 2


def meet(names: tuple[Path, Path], _report: Report) -> bool:
    """Make the first file and wait for the second: two of these must run at the same time."""
    own, other = names
    own.touch()
    for _ in range(600):
        if other.exists():
            return True
        time.sleep(0.1)
    return False
