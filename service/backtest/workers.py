"""Run folds in parallel: some executors, each of which does one fold after another."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from models.backtest.fold_runner import FoldDone, FoldProgress, FoldTask, run_fold
from service.execution.executor import Executor, TaskFailed, WorkerDied, WorkerTimeout


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of all folds.

    Attributes:
        done: Summary of each finished fold.
        failures: A sentence for each failed fold.
        peak_bytes: Sum of the peak memory of all processes.
    """

    done: tuple[FoldDone, ...]
    failures: tuple[str, ...]
    peak_bytes: int


def run_folds(
    tasks: Sequence[FoldTask],
    executors: Sequence[Executor],
    report: Callable[[float, str], None],
    finished: Callable[[int, float], None],
) -> Outcome:
    """Run all folds; one that fails, or whose process dies twice, is reported and the others continue.

    Args:
        tasks: The folds.
        executors: One for each fold that runs at a time; they are closed at the end.
        report: Called with the share of all folds done, 0..1, and the current work; by several threads, one at a time.
        finished: Called likewise with the position of each finished fold and the seconds that it took.
    """
    pool = _WorkerPool(executors, len(tasks), report, finished)
    threads = ThreadPoolExecutor(max_workers=max(1, len(pool.workers)))
    try:
        done = [fold for fold in threads.map(pool.work, tasks, range(len(tasks))) if fold is not None]
    finally:
        pool.end()
        threads.shutdown(cancel_futures=True)
    return Outcome(tuple(done), tuple(pool.failures), sum(pool.peaks.values()))


class _WorkerPool:
    """The processes, the queue of free ones, and the progress of each fold."""

    def __init__(
        self,
        workers: Sequence[Executor],
        tasks: int,
        report: Callable[[float, str], None],
        finished: Callable[[int, float], None],
    ) -> None:
        self.workers = workers
        self.failures: list[str] = []
        self.peaks: dict[int, int] = {}
        self._report, self._finished = report, finished
        self._shares = [0.0] * tasks
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._free: SimpleQueue[Executor] = SimpleQueue()
        for worker in workers:
            self._free.put(worker)

    def work(self, task: FoldTask, position: int) -> FoldDone | None:
        """Run one fold on a free process; return None if it failed."""

        def report_progress(progress: FoldProgress) -> None:
            with self._lock:
                self._shares[position] = progress.fraction
                share = sum(self._shares) / len(self._shares)
                self._report(share, f"fold {progress.fold}, {progress.forecaster}")

        worker = self._free.get()
        started = time.monotonic()
        try:
            done = self._run_with_retry(worker, task, report_progress)
        except (TaskFailed, WorkerDied, WorkerTimeout) as error:
            self.failures.append(f"fold {task.fold.number} from {task.fold.test[0]} failed: {error}")
            return None
        finally:
            self._free.put(worker)
        with self._lock:
            self._shares[position] = 1.0
            self._finished(position, time.monotonic() - started)
            self.peaks[id(worker)] = max(self.peaks.get(id(worker), 0), done.peak_bytes)
        return done

    def end(self) -> None:
        """Stop all executors, including those in the middle of a fold."""
        self._ended.set()
        for worker in self.workers:
            worker.close()

    def _run_with_retry(self, worker: Executor, task: FoldTask, report: Callable[[FoldProgress], None]) -> FoldDone:
        """Run a fold, once more if the process died (for example from lack of memory); finished results are kept."""
        try:
            return worker.run(run_fold, task, report)
        except WorkerDied:
            if self._ended.is_set():
                raise
            return worker.run(run_fold, task, report)
