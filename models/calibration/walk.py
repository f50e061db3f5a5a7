"""A table of forecasts calibrated through time, each row by nothing but what was final when it was made.

The backtest's form of what the service does day by day with its stored scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration.joint_band import joint_ratio, learn_joint
from models.calibration.quantile_tracking import StepOutcomes, calibrate_step, learn_step
from models.calibration.state import LEVELS, CalibrationState, JointState, StepState
from models.errors import FrameError
from models.preprocessing.frame import DateArray, FloatArray
from models.preprocessing.windows import IntArray


@dataclass(frozen=True, slots=True)
class CalibrationRows:
    """Forecasts of one forecaster on one calendar, any order.

    Attributes:
        as_of: `(n,)` datetime64[D].
        final_at: `(n,)` datetime64[s] UTC: the row may use what is final by then, inclusive.
        target_final_at: `(n, horizon)` datetime64[s] UTC when each outcome is final; NaT where unknown.
        sigma: `(n,)` daily volatility known at as_of, log return, positive.
        raw: `(n, horizon, 7)` uncalibrated quantiles, log returns, ascending.
        actual: `(n, horizon)` log returns; NaN where unknown.
        initial: What is known before the first row; None = nothing.
    """

    as_of: DateArray
    final_at: DateArray
    target_final_at: DateArray
    sigma: FloatArray
    raw: FloatArray
    actual: FloatArray
    initial: CalibrationState | None = None

    def __post_init__(self) -> None:
        n, horizon = len(self.as_of), self.raw.shape[1]
        found = (self.final_at.shape, self.sigma.shape, self.target_final_at.shape, self.actual.shape, self.raw.shape)
        if found != ((n,), (n,), (n, horizon), (n, horizon), (n, horizon, 7)):
            raise FrameError(f"rows to calibrate have the shapes {found} with {n} as_of; give every column {n} rows")
        if self.initial is not None and len(self.initial.steps) != horizon:
            raise FrameError(f"the initial state has {len(self.initial.steps)} steps, the rows have {horizon}")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a walk through time gave.

    Attributes:
        quantiles: `(n, horizon, 7)` calibrated log returns, ascending, in the rows' order.
        factors: `(n, 3)` joint factors known at each row's instant, in the order of `state.LEVELS`.
        state: What is known after the last outcome of the table.
    """

    quantiles: FloatArray
    factors: FloatArray
    state: CalibrationState


def calibrate_rows(rows: CalibrationRows) -> FloatArray:
    """Calibrate forecasts in the order of time; see `calibrate`.

    Returns:
        `(n, horizon, 7)` log returns, ascending along the last axis, in the rows' order.
    """
    return calibrate(rows).quantiles


def calibrate(rows: CalibrationRows) -> Calibrated:
    """Walk through time: each row is calibrated by the outcomes final at or before its own `final_at`.

    Outcomes of a step that become final at one instant are one observation.

    Args:
        rows: Forecasts of one forecaster on one calendar.

    Raises:
        FrameError: the columns do not fit each other.
    """
    horizon = rows.raw.shape[1]
    walk = _Walk(rows, rows.initial or CalibrationState.start(horizon))
    factors = np.empty((len(rows.as_of), len(LEVELS)))
    for instant, members in _grouped(rows.final_at):
        walk.learn_until(instant)
        for place in range(horizon):
            walk.quantiles[members, place] = calibrate_step(
                walk.steps[place], rows.raw[members, place], rows.sigma[members], place + 1
            )
        factors[members] = walk.joint.factors
        walk.issued[members] = walk.joint.factors
    walk.learn_until(None)
    return Calibrated(walk.quantiles, factors, CalibrationState(tuple(walk.steps), walk.joint))


class _Walk:
    """Where the walk stands: the states so far, and the outcomes still ahead."""

    def __init__(self, rows: CalibrationRows, initial: CalibrationState) -> None:
        self.rows = rows
        self.steps: list[StepState] = list(initial.steps)
        self.joint: JointState = initial.joint
        self.quantiles = np.full_like(rows.raw, np.nan)
        self.issued = np.full((len(rows.as_of), len(LEVELS)), np.nan)
        known = ~np.isnan(rows.actual) & ~np.isnat(rows.target_final_at)
        horizon = known.shape[1]
        self._ahead = [_Queue(_grouped(rows.target_final_at[:, place], known[:, place])) for place in range(horizon)]
        whole: NDArray[np.bool_] = np.logical_and.reduce(known, axis=1, keepdims=False)
        if horizon == 1:
            whole = np.zeros_like(whole)
        self._paths = _Queue(_grouped(rows.target_final_at[:, -1], whole))

    def learn_until(self, instant: np.datetime64 | None) -> None:
        """Learn from every outcome final by an instant (inclusive; None = from all), oldest first."""
        rows = self.rows
        for place, queue in enumerate(self._ahead):
            for members in queue.until(instant):
                outcomes = StepOutcomes(rows.raw[members, place], rows.sigma[members], rows.actual[members, place])
                self.steps[place] = learn_step(self.steps[place], outcomes, place + 1)
        for members in self._paths.until(instant):
            ratios = joint_ratio(self.quantiles[members], rows.actual[members])
            self.joint = learn_joint(self.joint, ratios, self.issued[members])


class _Queue:
    """Groups of rows in the order of their instants, handed out once."""

    def __init__(self, groups: Iterator[tuple[np.datetime64, IntArray]]) -> None:
        self._groups = list(groups)
        self._next = 0

    def until(self, instant: np.datetime64 | None) -> Iterator[IntArray]:
        """The groups with instants up to one (inclusive) that were not handed out yet."""
        while self._next < len(self._groups) and (instant is None or self._groups[self._next][0] <= instant):
            self._next += 1
            yield self._groups[self._next - 1][1]


def _grouped(instants: DateArray, chosen: NDArray[np.bool_] | None = None) -> Iterator[tuple[np.datetime64, IntArray]]:
    """Rows by instant, ascending; the chosen ones, or all."""
    places = np.arange(len(instants)) if chosen is None else np.flatnonzero(chosen)
    order = places[np.argsort(instants[places], kind="stable")]
    bounds = np.flatnonzero(np.diff(instants[order]) > np.timedelta64(0, "s")) + 1
    for members in np.split(order, bounds) if len(order) else ():
        yield instants[members[0]], members
