"""Folds side by side: a few warm processes, each doing one fold after the other."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from models.backtest.fold_runner import FoldDone, FoldProgress, FoldTask, run_fold
from service.execution.executor import TaskFailed, WorkerDied, WorkerTimeout
from service.execution.local import WarmWorker

FOLD_LIMIT_SECONDS = 24 * 3600.0
"""A fold that takes longer is ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the folds ended.

    Attributes:
        done: One for each fold that was done.
        failures: Sentences on the folds that were not.
        peak_bytes: Most memory of all processes together, each at its own peak.
    """

    done: tuple[FoldDone, ...]
    failures: tuple[str, ...]
    peak_bytes: int


def cores() -> int:
    """Cores this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def run_folds(tasks: Sequence[FoldTask], jobs: int, log: Path, report: Callable[[float, str], None]) -> Outcome:
    """Do every fold; one that fails, or whose process dies twice, is told of and the others go on.

    Args:
        tasks: What to do.
        jobs: Processes at most, 1 or more.
        log: File for what the processes say on standard error.
        report: Told of the share of all folds done, 0..1, and what is at work; from several threads in turn.
    """
    crew = _Executors([WarmWorker(FOLD_LIMIT_SECONDS, log) for _ in range(min(jobs, len(tasks)))], len(tasks), report)
    threads = ThreadPoolExecutor(max_workers=max(1, len(crew.workers)))
    try:
        done = [each for each in threads.map(crew.work, tasks, range(len(tasks))) if each is not None]
    finally:
        crew.end()
        threads.shutdown(cancel_futures=True)
    return Outcome(tuple(done), tuple(crew.failures), sum(crew.peaks.values()))


class _Executors:
    """The processes, who of them is free, and how far each fold is."""

    def __init__(self, workers: list[WarmWorker], tasks: int, report: Callable[[float, str], None]) -> None:
        self.workers = workers
        self.failures: list[str] = []
        self.peaks: dict[int, int] = {}
        self._report = report
        self._shares = [0.0] * tasks
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._free: SimpleQueue[WarmWorker] = SimpleQueue()
        for worker in workers:
            self._free.put(worker)

    def work(self, task: FoldTask, position: int) -> FoldDone | None:
        """Do one fold on a free process; None where it could not be done."""

        def tell(progress: FoldProgress) -> None:
            with self._lock:
                self._shares[position] = progress.fraction
                share = sum(self._shares) / len(self._shares)
                self._report(share, f"fold {progress.fold}, {progress.forecaster}")

        worker = self._free.get()
        try:
            done = self._tried_twice(worker, task, tell)
        except (TaskFailed, WorkerDied, WorkerTimeout) as error:
            self.failures.append(f"fold {task.fold.number} from {task.fold.test[0]} failed: {error}")
            return None
        finally:
            self._free.put(worker)
        with self._lock:
            self._shares[position] = 1.0
            self.peaks[id(worker)] = max(self.peaks.get(id(worker), 0), done.peak_bytes)
        return done

    def end(self) -> None:
        """End every process, in the middle of its fold if need be."""
        self._ended.set()
        for worker in self.workers:
            worker.close()

    def _tried_twice(self, worker: WarmWorker, task: FoldTask, tell: Callable[[FoldProgress], None]) -> FoldDone:
        """A process that died, for want of memory say, is worth one more try: what it finished lies there."""
        try:
            return worker.run(run_fold, task, tell)
        except WorkerDied:
            if self._ended.is_set():
                raise
            return worker.run(run_fold, task, tell)
