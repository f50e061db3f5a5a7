"""What calibration has learnt: plain numbers that survive JSON exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PAIRS = 3
"""Central intervals, outermost first: 95, 80 and 50 %. Each is a pair of quantiles around the median."""

LEVELS: tuple[float, ...] = (0.50, 0.80, 0.95)
"""Nominal levels of the joint band, in the order of `JointState.factors`."""

START_FACTORS: tuple[float, ...] = (1.6, 1.32, 1.24)
"""Joint factors before anything is learnt: measured on 51 US stocks 2012-2016, see docs/calibration.md."""

_NONE = (0.0,) * PAIRS


@dataclass(frozen=True, slots=True)
class StepState:
    """How the quantiles of one step are moved, in units of `sigma * sqrt(step)`.

    Attributes:
        width: Per pair, outermost first: both quantiles move this far away from the median, -2..2.
        slope: Per pair, the further move away from the median per unit of log volatility above `reference`, -1..1.
        centre: Per pair, both quantiles move up by this, -1..1.
        median: The median moves up by this, -0.5..0.5.
        reference: Mean log daily volatility of the outcomes so far, newest weighing most; None before the first.
        days: Days of outcomes learnt from.
    """

    width: tuple[float, ...] = _NONE
    slope: tuple[float, ...] = _NONE
    centre: tuple[float, ...] = _NONE
    median: float = 0.0
    reference: float | None = None
    days: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; floats survive the round trip exactly."""
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
        """Rebuild from `to_dict`; other keys are left alone.

        Raises:
            ValueError: a part is absent or of another length.
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
    """How far each interval is widened around the median so that all steps hold at once.

    Attributes:
        factors: Per level of `LEVELS` the factor on both half widths of that level's interval, 1..4.
        held: Per level the sum over days of the share of forecasts whose whole path stayed inside.
        days: Days behind `held`, from when the counting began.
    """

    factors: tuple[float, ...] = START_FACTORS
    held: tuple[float, ...] = (0.0,) * len(LEVELS)
    days: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; floats survive the round trip exactly."""
        return {"factors": list(self.factors), "held": list(self.held), "days": self.days}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "JointState":
        """Rebuild from `to_dict`; other keys are left alone.

        Raises:
            ValueError: a part is absent or of another length.
        """
        return JointState(_numbers(data, "factors"), _numbers(data, "held"), int(data["days"]))


@dataclass(frozen=True, slots=True)
class CalibrationState:
    """What is known about one forecaster on one calendar.

    Attributes:
        steps: One state per step, T first.
        joint: The band over all steps; stays at its start where there is one step.
    """

    steps: tuple[StepState, ...]
    joint: JointState = JointState()

    @staticmethod
    def start(horizon: int) -> "CalibrationState":
        """Nothing learnt: calibrated equals raw."""
        return CalibrationState((StepState(),) * horizon)

    def counted_anew(self) -> "CalibrationState":
        """The same corrections with the joint band's record at zero."""
        return CalibrationState(self.steps, JointState(self.joint.factors))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {"steps": [state.to_dict() for state in self.steps], "joint": self.joint.to_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> "CalibrationState":
        """Rebuild from `to_dict`.

        Raises:
            ValueError: a part is absent or of another length.
        """
        try:
            steps = tuple(StepState.from_dict(each) for each in data["steps"])
            return CalibrationState(steps, JointState.from_dict(data["joint"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a stored calibration lacks a part ({error!r}); train the version again") from error


def _numbers(data: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = tuple(float(value) for value in data[name])
    if len(values) != PAIRS:
        raise ValueError(f"a stored calibration has {len(values)} values of {name}, {PAIRS} are needed; train it again")
    return values
