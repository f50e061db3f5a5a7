"""Calibration of a table of forecasts through time, each row with outcomes that were final when it was made.

The backtest calibrates a whole table this way; the service does the same day by day with its stored scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.calibration.joint_band import joint_ratio, learn_joint
from models.calibration.quantile_tracking import StepOutcomes, calibrate_step, learn_step
from models.calibration.state import LEVELS, CalibrationState, JointState, StepState
from models.errors import PriceHistoryError
from models.preprocessing.price_history import DateArray, FloatArray
from models.preprocessing.windows import IntArray


@dataclass(frozen=True, slots=True)
class CalibrationRows:
    """Forecasts of one forecaster on one calendar, in any order.

    Attributes:
        as_of: `(n,)` datetime64[D].
        final_at: `(n,)` datetime64[s] UTC: the row may use outcomes that are final by then, inclusive.
        target_final_at: `(n, horizon)` datetime64[s] UTC at which each outcome is final; NaT where unknown.
        sigma: `(n,)` daily volatility known at as_of, log return, positive.
        raw: `(n, horizon, 7)` uncalibrated quantiles, log returns, ascending.
        actual: `(n, horizon)` log returns; NaN where unknown.
        initial: State before the first row; None for the initial state of calibration.
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
            raise PriceHistoryError(
                f"rows to calibrate have the shapes {found} with {n} as_of; give every column {n} rows"
            )
        if self.initial is not None and len(self.initial.steps) != horizon:
            raise PriceHistoryError(
                f"the initial state has {len(self.initial.steps)} steps, the rows have {horizon}; give both the same"
            )


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Result of a calibration through time.

    Attributes:
        quantiles: `(n, horizon, 7)` calibrated log returns, ascending, in the rows' order.
        factors: `(n, 3)` joint factors known at each row's instant, in the order of `state.LEVELS`.
        state: State after the last outcome of the table.
    """

    quantiles: FloatArray
    factors: FloatArray
    state: CalibrationState


def calibrate_rows(rows: CalibrationRows) -> FloatArray:
    """Return the calibrated quantiles of forecasts in the order of time; see `calibrate`.

    Returns:
        `(n, horizon, 7)` log returns, ascending along the last axis, in the rows' order.
    """
    return calibrate(rows).quantiles


def calibrate(rows: CalibrationRows) -> Calibrated:
    """Calibrate each row with the outcomes that are final at or before its own `final_at`.

    Outcomes of a step that become final at one instant are one observation.

    Args:
        rows: Forecasts of one forecaster on one calendar.

    Raises:
        PriceHistoryError: The columns do not fit each other.
    """
    horizon = rows.raw.shape[1]
    walk = _Walk(rows, rows.initial or CalibrationState.start(horizon))
    factors = np.empty((len(rows.as_of), len(LEVELS)))
    for instant, members in _grouped(rows.final_at):
        walk.learn_until(instant)
        for index in range(horizon):
            walk.quantiles[members, index] = calibrate_step(
                walk.steps[index], rows.raw[members, index], rows.sigma[members], index + 1
            )
        factors[members] = walk.joint.factors
        walk.issued[members] = walk.joint.factors
    walk.learn_until(None)
    return Calibrated(walk.quantiles, factors, CalibrationState(tuple(walk.steps), walk.joint))


class _Walk:
    """The states at one instant of a pass through time, and the outcomes that are final later."""

    def __init__(self, rows: CalibrationRows, initial: CalibrationState) -> None:
        self.rows = rows
        self.steps: list[StepState] = list(initial.steps)
        self.joint: JointState = initial.joint
        self.quantiles = np.full_like(rows.raw, np.nan)
        self.issued = np.full((len(rows.as_of), len(LEVELS)), np.nan)
        known = ~np.isnan(rows.actual) & ~np.isnat(rows.target_final_at)
        horizon = known.shape[1]
        self._outcomes = [_Queue(_grouped(rows.target_final_at[:, index], known[:, index])) for index in range(horizon)]
        complete: NDArray[np.bool_] = np.logical_and.reduce(known, axis=1, keepdims=False)
        if horizon == 1:
            complete = np.zeros_like(complete)
        self._paths = _Queue(_grouped(rows.target_final_at[:, -1], complete))

    def learn_until(self, instant: np.datetime64 | None) -> None:
        """Learn from the outcomes that are final by an instant (inclusive; None for all), oldest first."""
        rows = self.rows
        for index, queue in enumerate(self._outcomes):
            for members in queue.until(instant):
                outcomes = StepOutcomes(rows.raw[members, index], rows.sigma[members], rows.actual[members, index])
                self.steps[index] = learn_step(self.steps[index], outcomes, index + 1)
        for members in self._paths.until(instant):
            ratios = joint_ratio(self.quantiles[members], rows.actual[members])
            self.joint = learn_joint(self.joint, ratios, self.issued[members])


class _Queue:
    """Groups of rows in the order of their instants; each group is yielded once."""

    def __init__(self, groups: Iterator[tuple[np.datetime64, IntArray]]) -> None:
        self._groups = list(groups)
        self._next = 0

    def until(self, instant: np.datetime64 | None) -> Iterator[IntArray]:
        """Yield the remaining groups with instants up to one (inclusive; None for all)."""
        while self._next < len(self._groups) and (instant is None or self._groups[self._next][0] <= instant):
            self._next += 1
            yield self._groups[self._next - 1][1]


def _grouped(instants: DateArray, mask: NDArray[np.bool_] | None = None) -> Iterator[tuple[np.datetime64, IntArray]]:
    """Yield the rows of each instant, ascending; the rows of the mask, or all."""
    rows = np.arange(len(instants)) if mask is None else np.flatnonzero(mask)
    order = rows[np.argsort(instants[rows], kind="stable")]
    bounds = np.flatnonzero(np.diff(instants[order]) > np.timedelta64(0, "s")) + 1
    for members in np.split(order, bounds) if len(order) else ():
        yield instants[members[0]], members
