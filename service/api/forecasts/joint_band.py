"""Builds the joint band: each interval widened around the median by the stored factor of its level."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from service.api.common.rows import ForecastRow
from service.api.forecasts.schemas import LABELS, MIN_SESSIONS
from service.api.forecasts.track_record import LEVELS, Fields

START_FACTORS: tuple[float, ...] = (1.6, 1.32, 1.24)
"""Factors of a version without a state; a test compares them with the start of calibration."""

_BOUNDS = (("q25", "q75"), ("q10", "q90"), ("q025", "q975"))


def joint_band_fields(
    rows: Sequence[ForecastRow],
    state: Mapping[str, Any] | None,
    metrics: Mapping[str, Any],
    pricer: Callable[[ForecastRow], Callable[[float], float]],
) -> Fields | None:
    """Return the fields of the joint band of one forecaster's steps.

    Args:
        rows: Its forecasts, a row per step, T first.
        state: The stored state as of the forecast's session; None = no scores yet.
        metrics: Figures of the version's training: its test span gives the first factors.
        pricer: Returns for a row the function from a log return to the price on the forecast's basis.

    Returns:
        Those of `JointBand`; None for a single step.
    """
    if len(rows) < 2:
        return None
    measured = {} if state is None else state.get("measured", {})
    n = int(measured.get("n", 0))
    shares = measured.get("coverage") if n >= MIN_SESSIONS else None
    factors = _first_factors(metrics) if state is None else state["factors"]
    priced = [(row, pricer(row)) for row in rows]
    levels = [
        {
            "level": level,
            "measured": None if shares is None else float(shares[place]),
            "steps": [_step(row, _BOUNDS[place], factors[place], price) for row, price in priced],
        }
        for place, level in enumerate(LEVELS)
    ]
    return {"n": n, "levels": levels}


def _first_factors(metrics: Mapping[str, Any]) -> Sequence[float]:
    start = (metrics.get("test") or {}).get("calibration")
    factors: Sequence[float] = START_FACTORS if start is None else start["joint"]["factors"]
    return factors


def _step(row: ForecastRow, bounds: tuple[str, str], factor: float, price: Callable[[float], float]) -> Fields:
    """Return the fields of `JointStep`."""
    lower, upper = (row.q50 + factor * (getattr(row, name) - row.q50) for name in bounds)
    return {
        "step": row.step,
        "label": LABELS[row.step - 1],
        "target_session": row.target_session,
        "lower": price(lower),
        "upper": price(upper),
        "lower_return": lower,
        "upper_return": upper,
    }
