"""The driver: a process of the owner's that is connected to a cluster and carries the owner's calls."""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from service.execution.executor import TaskFailed, WorkerDied, disk_message
from service.execution.owner import end_with_owner
from service.execution.ray.cluster import Cancelled, Cluster, ClusterConfig, Unreachable
from service.execution.ray.plans import run_task


def drive(pipe: Connection, config: ClusterConfig, log: Path | None) -> None:
    """Connect and serve calls until the owner closes the pipe.

    The owner sends `("run", number, task, request)`, `("cancel", number)` and `("slots", number)`; the driver first
    sends `("connected",)` or `("refused", message)`, then `("taken", number)` and `(kind, number, ...)` for each call.
    """
    end_with_owner()
    _redirect(log)
    sending = threading.Lock()

    def send(*message: Any) -> None:
        with sending, suppress(BrokenPipeError):  # the owner has ended, and this process with it
            pipe.send(message)

    try:
        cluster = Cluster(config)
    except Exception as error:  # the owner raises it as one sentence
        send("refused", str(error))
        return
    # Ray sets handlers of its own. Signals to the process group are the owner's to act upon.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    send("connected")
    cancels: dict[int, threading.Event] = {}
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if message[0] != "cancel":
            send("taken", message[1])
        if message[0] == "cancel":
            if message[1] in cancels:
                cancels[message[1]].set()
        elif message[0] == "slots":
            send("done", message[1], cluster.slots())
        else:
            _, number, task, request = message
            cancelled = cancels[number] = threading.Event()

            def carry(number: int = number, task: Any = task, request: Any = request, event: Any = cancelled) -> None:
                _carry(cluster, number, (task, request), event, send)
                cancels.pop(number, None)

            threading.Thread(target=carry, daemon=True).start()


def _carry(
    cluster: Cluster, number: int, call: tuple[Any, Any], cancelled: threading.Event, send: Callable[..., None]
) -> None:
    """Run one call and send its end."""
    task, request = call
    try:
        answer = run_task(cluster, task, request, lambda progress: send("progress", number, progress), cancelled)
    except TaskFailed as error:
        send("failed", number, error.kind, str(error))
    except Cancelled:
        send("cancelled", number)
    except (WorkerDied, Unreachable) as error:
        send("died", number, str(error))
    except Exception as error:
        reason = disk_message(error) if isinstance(error, OSError) else str(error)
        send("failed", number, type(error).__name__, reason)
    else:
        send("done", number, answer)


def _redirect(log: Path | None) -> None:
    """Append standard output and error to the log: Ray and its programs write to both."""
    with suppress(OSError):  # a full or read-only disk must not stop the driver
        target = os.open(os.devnull if log is None else log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(target, 1)
        if log is not None:
            os.dup2(target, 2)
        os.close(target)
