"""Small tasks that another process can import by name."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

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
