"""Ends a worker process when its owner ends, however the owner ends and whatever the worker is doing.

A thread that waits for the owner cannot run while native code holds Python's global lock. On Linux the kernel
therefore sends SIGKILL when the owner's end of a pipe closes, to the whole process group of the worker: programs that
a library has started end too. PR_SET_PDEATHSIG is not used, because it fires when the thread that started the worker
ends, and a worker outlives that thread.
"""

import fcntl
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.process import BaseProcess


def end_with_owner() -> None:
    """Make this process end with the process that started it; call it once, first in the worker."""
    owner = multiprocessing.parent_process()
    assert owner is not None
    if sys.platform == "linux":
        with suppress(OSError):  # it leads a session already, and so a group
            os.setpgid(0, 0)
        _kill_group_at_end_of(owner.sentinel)
    # Elsewhere this thread does it; on Linux it covers an owner that ended before the pipe was watched.
    threading.Thread(target=_wait_for_end, daemon=True).start()


def kill_worker(process: BaseProcess) -> None:
    """Kill a worker, and on Linux the programs that it has started."""
    if sys.platform == "linux" and process.pid is not None and process.exitcode is None:
        with suppress(OSError):  # it was killed before it had a group of its own
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
    process.kill()


if sys.platform == "linux":

    def _kill_group_at_end_of(pipe: int) -> None:
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgid(0))
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)


def _wait_for_end() -> None:
    owner = multiprocessing.parent_process()
    assert owner is not None
    owner.join()
    os._exit(1)
