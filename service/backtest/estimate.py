"""How long a backtest takes: known ratios before it starts, corrected by its first finished fold."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.backtest.fold_runner import FoldTask
from models.backtest.forecasters import BaselineForecaster, NetworkBacktestForecaster
from models.backtest.protocols import RECURSIVE, BacktestForecaster
from models.baselines.garch import GARCH
from models.preprocessing.splits import DateRange

START_SECONDS = 15.0
"""Until a process has loaded TensorFlow, which it does once."""

BASELINE_SECONDS = 0.1
"""A baseline in one fold, whatever its size."""

GARCH_SECONDS = 0.7
"""One symbol in one fold."""

RECURSIVE_SECONDS = 0.01
"""One recursive forecast, with its sampled paths."""

TRAINING_SECONDS: Mapping[str, float] = {"linear": 0.6, "lstm": 1.7}
"""One seed, for 1,000 windows."""

OTHER_TRAINING_SECONDS = 3.0
"""The same of the other networks."""


class Estimate:
    """The time that folds take with a number of processes; ratios measured on two slow cores."""

    def __init__(self, tasks: Sequence[FoldTask], jobs: int) -> None:
        """Create the estimate.

        Args:
            tasks: The folds to do, in the order in which they are started.
            jobs: Processes.
        """
        self._tasks = tasks
        self._seconds = [task_seconds(task) for task in tasks]
        self._jobs = max(1, min(jobs, len(tasks)))
        only_baselines = all(isinstance(each, BaselineForecaster) for task in tasks for each in task.forecasters)
        self._start = 0.0 if only_baselines else START_SECONDS
        self._is_corrected = False

    def before(self) -> str:
        """Return the sentence for the start."""
        most = max((len(task.forecasters) for task in self._tasks), default=0)
        folds, forecasters = _counted(len(self._tasks), "fold"), _counted(most, "forecaster")
        processes = _counted(self._jobs, "process", "processes")
        return (
            f"to do: {folds} with {forecasters}; with {processes} "
            f"{duration(self._start + self._shared(self._seconds))}: a rough estimate that the first fold corrects"
        )

    def finished(self, position: int, seconds: float) -> str | None:
        """Return a sentence about the rest after the first finished fold; None after others, or without a rest.

        Args:
            position: Position of the fold among the tasks.
            seconds: What it took.
        """
        if self._is_corrected or len(self._tasks) == 1:
            return None
        self._is_corrected = True
        own = self._seconds[position]
        scale = seconds / (self._start + own)
        # The first folds were started together: the others of them are as far as this one.
        left = [
            max(0.0, each - own) if place < self._jobs else each
            for place, each in enumerate(self._seconds)
            if place != position
        ]
        return (
            f"fold {self._tasks[position].fold.number} took {duration(seconds)}; the other "
            f"{_counted(len(left), 'fold')} take {duration(scale * self._shared(left))}"
        )

    def _shared(self, seconds: Sequence[float]) -> float:
        """Return the time of folds that the processes share; none is shorter than its longest fold."""
        return max(sum(seconds) / self._jobs, max(seconds, default=0.0))


def task_seconds(task: FoldTask) -> float:
    """Return the expected seconds of one fold in a process that has started, from the sizes of its spans."""
    windows, forecasts = _rows(task, task.fold.train), _rows(task, task.fold.test)
    return sum(_forecaster_seconds(each, windows, forecasts, len(task.panel.histories)) for each in task.forecasters)


def duration(seconds: float) -> str:
    """Return a duration in words, as exactly as an estimate may be: to 5 s or 5 minutes from 10 on, or to an hour."""
    if seconds < 90:
        return f"about {max(1, _rounded(seconds))} s"
    if seconds < 90 * 60:
        return f"about {_rounded(seconds / 60)} minutes"
    return f"about {round(seconds / 3600)} hours"


def _rounded(value: float) -> int:
    return round(value) if value < 10 else 5 * round(value / 5)


def _forecaster_seconds(forecaster: BacktestForecaster, windows: int, forecasts: int, symbols: int) -> float:
    if forecaster.strategy == RECURSIVE:
        return RECURSIVE_SECONDS * forecasts  # the one-step network is fitted already
    if isinstance(forecaster, NetworkBacktestForecaster):
        ratio = TRAINING_SECONDS.get(forecaster.name, OTHER_TRAINING_SECONDS)
        return ratio * windows / 1000 * len(forecaster.config.seeds)
    return GARCH_SECONDS * symbols if forecaster.name == GARCH else BASELINE_SECONDS


def _rows(task: FoldTask, span: DateRange) -> int:
    """Return the bars of all symbols in a span."""
    first, last = span
    return sum(
        int(np.count_nonzero((history.sessions >= first) & (history.sessions <= last)))
        for history in task.panel.histories
    )


def _counted(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or f'{one}s'}"
