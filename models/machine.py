"""Cores and memory that this process may use, by its machine and by its control groups (version 2 of Linux)."""

import os
from collections.abc import Iterator
from contextlib import suppress
from math import ceil
from pathlib import Path


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, 1 or more.

    A container with a limit of CPU time sees all cores of its machine; more threads than its share only wait.

    Args:
        root: Root of the file system.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for group in _control_groups(root):
        with suppress(OSError, ValueError):  # no such file, or "max": no limit
            quota, period = (group / "cpu.max").read_text().split()
            cores = min(cores, ceil(int(quota) / int(period)))
    return max(1, cores)


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that may still be used; Linux only.

    Args:
        root: Root of the file system.
    """
    free = _fields(root / "proc" / "meminfo")["MemAvailable"] * 1024
    for group in _control_groups(root):
        with suppress(OSError, ValueError, KeyError):  # no such file, or "max": no limit
            limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
            # Files that were read count as used, but are dropped when memory is needed.
            free = min(free, limit - used + _fields(group / "memory.stat")["inactive_file"])
    return free


def _control_groups(root: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in: the outermost first, which a container sees alone."""
    folder = root / "sys" / "fs" / "cgroup"
    yield folder
    with suppress(OSError):
        for line in (root / "proc" / "self" / "cgroup").read_text().splitlines():
            if line.startswith("0::/") and ".." not in line:
                for name in line.removeprefix("0::/").split("/"):
                    folder /= name
                    yield folder


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number in each line."""
    words = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {line[0]: int(line[1]) for line in words if len(line) > 1}
