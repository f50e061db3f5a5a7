"""The executor: plain top-level functions of `models`, given and returning plain data."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from service.errors import TplusError

Request = TypeVar("Request", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


class WorkerDied(TplusError):
    """The worker process ended in the middle of a task (killed, out of memory); worth another try."""


class WorkerTimeout(TplusError):
    """The task took longer than its limit and was ended."""


class TaskFailed(TplusError):
    """The task itself raised; the sentence is the task's own."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def disk_message(error: OSError) -> str:
    """One sentence about a file or folder that could not be written or read: what, where, what to do."""
    where = "" if error.filename is None else f" at {error.filename}"
    return f"the disk refused{where}: {error.strerror or error}; free space or make it writable, then it is tried again"


class Task(Protocol[Request, Answer]):
    """A top-level function that another process can import by name."""

    def __call__(self, request: Request, report: Callable[[Any], None], /) -> Answer:
        """Do the work; `report` may be told of progress."""
        ...


class Executor(Protocol):
    """Runs tasks in other processes; an engine is one small class."""

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Run one task and wait for it.

        Raises:
            WorkerDied: the process ended.
            WorkerTimeout: the limit was reached.
            TaskFailed: the task raised.
        """
        ...

    def close(self) -> None:
        """End every process."""
        ...
