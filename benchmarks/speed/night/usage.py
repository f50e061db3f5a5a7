"""CPU time and memory of a process and all processes below it."""

from dataclasses import dataclass

import psutil

SAMPLE_SECONDS = 0.25


@dataclass(slots=True)
class Usage:
    """What a tree of processes used.

    Attributes:
        pid: Its root.
        peak_bytes: Largest sum of the resident memory of all its processes at one instant, since `restart`; pages that
            they share count for each.
    """

    pid: int
    peak_bytes: int = 0

    def restart(self) -> None:
        """Forget the peak."""
        self.peak_bytes = 0

    def sample(self) -> None:
        """Look at the memory now."""
        self.peak_bytes = max(self.peak_bytes, sum(_resident(process) for process in self._tree()))

    def cpu_seconds(self) -> float:
        """Return user and system seconds of all processes so far, those that have ended included."""
        total = 0.0
        for process in self._tree():
            try:
                spent = process.cpu_times()
            except psutil.Error:  # it has ended; its parent has its time
                continue
            total += spent.user + spent.system + spent.children_user + spent.children_system
        return total

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
