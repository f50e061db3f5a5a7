"""The state of calibration: plain numbers that survive JSON exactly.

Two orders are stored, and both are kept so that stored states keep their meaning: `StepState` lists the intervals
outermost first, as `PAIR_LEVELS`; `JointState` lists them innermost first, as `LEVELS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.config import INTERVAL_LEVELS

LEVELS: tuple[float, ...] = INTERVAL_LEVELS
"""Nominal levels of the joint band, innermost first, in the order of `JointState.factors`."""

PAIR_LEVELS: tuple[float, ...] = LEVELS[::-1]
"""Nominal levels of the pairs of quantiles around the median, outermost first, in the order of `StepState.width`."""

START_FACTORS: tuple[float, ...] = (1.6, 1.32, 1.24)
"""Initial joint factors, in the order of `LEVELS`: measured on 51 US stocks 2012-2016, see docs/calibration.md."""

_ZEROS = (0.0,) * len(PAIR_LEVELS)


@dataclass(frozen=True, slots=True)
class StepState:
    """Shifts of the quantiles of one step, in units of `sigma * sqrt(step)`.

    Attributes:
        width: Per pair of `PAIR_LEVELS`, the shift of both quantiles away from the median, -2..2.
        slope: Per pair, the further shift away from the median per unit of log volatility above `reference`, -1..1.
        centre: Per pair, the upward shift of both quantiles, -1..1.
        median: Upward shift of the median, -0.5..0.5.
        reference: Mean log daily volatility of the outcomes so far, the newest with the largest weight; None before
            the first.
        days: Days of outcomes that the state has learnt from.
    """

    width: tuple[float, ...] = _ZEROS
    slope: tuple[float, ...] = _ZEROS
    centre: tuple[float, ...] = _ZEROS
    median: float = 0.0
    reference: float | None = None
    days: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-serialisable form; floats survive the round trip exactly."""
        return {
            "width": list(self.width),
            "slope": list(self.slope),
            "centre": list(self.centre),
            "median": self.median,
            "reference": self.reference,
            "days": self.days,
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "StepState":
        """Build a state from the form of `to_dict`; other keys are ignored.

        Raises:
            ValueError: A part is absent or has another length.
        """
        parts = {name: _numbers(data, name) for name in ("width", "slope", "centre")}
        reference = data.get("reference")
        return StepState(
            **parts,
            median=float(data["median"]),
            reference=None if reference is None else float(reference),
            days=int(data["days"]),
        )


@dataclass(frozen=True, slots=True)
class JointState:
    """Factors that widen the intervals around the median so that they hold for all steps jointly.

    Attributes:
        factors: Per level of `LEVELS`, the factor on both half widths of that level's interval, 1..4.
        held: Per level of `LEVELS`, the sum over days of the share of forecasts whose whole path stayed inside.
        days: Number of days in `held`.
    """

    factors: tuple[float, ...] = START_FACTORS
    held: tuple[float, ...] = (0.0,) * len(LEVELS)
    days: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-serialisable form; floats survive the round trip exactly."""
        return {"factors": list(self.factors), "held": list(self.held), "days": self.days}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "JointState":
        """Build a state from the form of `to_dict`; other keys are ignored.

        Raises:
            ValueError: A part is absent or has another length.
        """
        return JointState(_numbers(data, "factors"), _numbers(data, "held"), int(data["days"]))


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """Calibration of one forecaster on one calendar.

    Attributes:
        steps: One state per step, T first.
        joint: State of the joint band; stays at its initial value where there is one step.
    """

    steps: tuple[StepState, ...]
    joint: JointState = JointState()

    @staticmethod
    def start(horizon: int) -> "CalibrationState":
        """Return the initial state, with which calibrated quantiles equal the raw ones."""
        return CalibrationState((StepState(),) * horizon)

    def with_counts_reset(self) -> "CalibrationState":
        """Return the same corrections with the counts of the joint band at zero."""
        return CalibrationState(self.steps, JointState(self.joint.factors))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-serialisable form."""
        return {"steps": [state.to_dict() for state in self.steps], "joint": self.joint.to_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "CalibrationState":
        """Build a state from the form of `to_dict`.

        Raises:
            ValueError: A part is absent or has another length.
        """
        try:
            steps = tuple(StepState.from_dict(step) for step in data["steps"])
            return CalibrationState(steps, JointState.from_dict(data["joint"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a stored calibration lacks a part ({error!r}); train the version again") from error


def _numbers(data: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = tuple(float(value) for value in data[name])
    if len(values) != len(LEVELS):
        raise ValueError(
            f"a stored calibration has {len(values)} values of {name}, {len(LEVELS)} are needed; train it again"
        )
    return values
