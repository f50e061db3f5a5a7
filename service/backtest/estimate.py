"""How long a backtest takes: known ratios before it starts, corrected by its first finished fold."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.backtest.fold_runner import FoldTask
from models.backtest.forecasters import BaselineForecaster, NetworkBacktestForecaster
from models.backtest.protocols import RECURSIVE, BacktestForecaster
from models.baselines.garch import GARCH
from models.preprocessing.splits import DateRange

START_SECONDS = 15.0
"""Until a process has loaded TensorFlow."""

BASELINE_SECONDS = 0.1
"""A baseline in one fold, whatever its size."""

GARCH_SECONDS = 0.7
"""One symbol in one fold."""

RECURSIVE_SECONDS = 0.15
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
            tasks: The folds to do.
            jobs: Processes.
        """
        self._left = {task.fold.number: task_seconds(task) for task in tasks}
        self._forecasters = max((len(task.forecasters) for task in tasks), default=0)
        self._jobs = max(1, min(jobs, len(tasks)))
        self._scale: float | None = None

    def before(self) -> str:
        """Return the sentence for the start."""
        folds, forecasters = _counted(len(self._left), "fold"), _counted(self._forecasters, "forecaster")
        processes = _counted(self._jobs, "process", "processes")
        return (
            f"to do: {folds} with {forecasters}; with {processes} {duration(self._seconds_left())}: a rough estimate "
            "that the first fold corrects"
        )

    def finished(self, number: int, seconds: float) -> str | None:
        """Record a finished fold; returns a sentence about the rest after the first one, if there is a rest.

        Args:
            number: Number of the fold.
            seconds: What it took.
        """
        expected = self._left.pop(number, None)
        if expected is None or self._scale is not None:
            return None
        self._scale = seconds / expected
        if not self._left:
            return None
        return (
            f"fold {number} took {duration(seconds)}; the other {_counted(len(self._left), 'fold')} take "
            f"{duration(self._seconds_left())}"
        )

    def _seconds_left(self) -> float:
        scale = 1.0 if self._scale is None else self._scale
        longest = max(self._left.values(), default=0.0)
        return scale * max(sum(self._left.values()) / self._jobs, longest)


def task_seconds(task: FoldTask) -> float:
    """Return the expected seconds of one fold, from the sizes of its spans."""
    windows, forecasts = _rows(task, task.fold.train), _rows(task, task.fold.test)
    seconds = sum(_forecaster_seconds(each, windows, forecasts, len(task.panel.histories)) for each in task.forecasters)
    only_baselines = all(isinstance(each, BaselineForecaster) for each in task.forecasters)
    return seconds + (0.0 if only_baselines else START_SECONDS)


def duration(seconds: float) -> str:
    """Return a duration in words: seconds, minutes or hours."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes"
    return f"about {round(seconds / 3600)} hours"


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
