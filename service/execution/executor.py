"""Interface of executors, which run top-level functions of `models` on plain data."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from service.errors import TplusError

Request = TypeVar("Request", contravariant=True)
Answer = TypeVar("Answer", covariant=True)


class WorkerDied(TplusError):
    """The worker process ended during a task (killed, out of memory); a retry may succeed."""


class WorkerTimeout(TplusError):
    """The task took longer than its limit and was stopped."""


class TaskFailed(TplusError):
    """The task raised an exception; the message is the task's own."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def disk_message(error: OSError) -> str:
    """Return a message about a failed read or write: what, where, what to do."""
    where = "" if error.filename is None else f" at {error.filename}"
    reason = error.strerror or error
    return f"the disk cannot be read or written{where}: {reason}; free space or make it writable; it is retried"


class Task(Protocol[Request, Answer]):
    """A top-level function that another process can import by name."""

    def __call__(self, request: Request, report: Callable[[Any], None], /) -> Answer:
        """Do the task; `report` receives its progress."""
        ...


class Executor(Protocol):
    """Runs tasks in other processes."""

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Run one task and wait for it.

        Raises:
            WorkerDied: the process ended.
            WorkerTimeout: the limit was reached.
            TaskFailed: the task raised.
        """
        ...

    def slots(self) -> int:
        """Return how many tasks can run at the same time, 1 or more.

        Raises:
            WorkerDied: a cluster cannot be reached.
        """
        ...

    def close(self) -> None:
        """End every process."""
        ...
