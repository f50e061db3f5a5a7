"""What runs in the workers of a cluster: one task, its progress and its result as a stream."""

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import SimpleQueue
from typing import Any

from service.execution.executor import disk_message
from service.execution.ray.versions import difference, installed_versions
from service.settings import set_library_variables

Event = tuple[Any, ...]
"""`("progress", value)`, then `("done", answer)`, `("failed", kind, message)` or `("versions", message)`."""


def stream(
    task: Callable[..., Any], expected: Mapping[str, str], where: str, threads: int, *inputs: Any
) -> Iterator[Event]:
    """Run a task and yield its progress and its result.

    Args:
        task: A top-level function; it gets `inputs`, and last a function that reports.
        expected: Versions of the driver, see `versions.installed_versions`.
        where: Name of this machine for messages.
        threads: Threads that TensorFlow may use, whichever task is the first of this process.
        inputs: What the task needs.
    """
    sentence = difference(expected, installed_versions(), where)
    if sentence is not None:
        yield ("versions", sentence)
        return
    set_library_variables({"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": "1"})
    events: SimpleQueue[Event] = SimpleQueue()

    def work() -> None:
        try:
            answer = task(*inputs, lambda progress: events.put(("progress", progress)))
        except Exception as error:  # the owner raises it again by name; the worker survives a failed task
            reason = disk_message(error) if isinstance(error, OSError) else str(error)
            events.put(("failed", type(error).__name__, reason))
        else:
            events.put(("done", answer))

    threading.Thread(target=work, daemon=True).start()
    while True:
        event = events.get()
        yield event
        if event[0] != "progress":
            return
