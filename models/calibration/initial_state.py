"""Where a new forecaster's calibration starts: on the forecasts it made out of its fit."""

from models.calibration.state import CalibrationState
from models.calibration.walk import CalibrationRows, calibrate, calibrate_rows
from models.preprocessing.frame import FloatArray
from models.preprocessing.windows import PooledWindows
from models.training.holdout import actual_returns


def holdout_state(windows: PooledWindows, quantiles: FloatArray) -> CalibrationState:
    """Walk through the judging span, which the forecaster was neither fitted nor stopped on.

    Windows of several calendars are one walk, by instant: what is learnt starts every calendar.

    Args:
        windows: The `n` windows of the judging span.
        quantiles: `(n, horizon, 7)` the forecaster's uncalibrated log returns for them.

    Returns:
        What is known after the last outcome; the joint band's record starts at zero.
    """
    return calibrate(_rows(windows, quantiles)).state.counted_anew()


def calibrated_after(
    lead: PooledWindows, lead_quantiles: FloatArray, windows: PooledWindows, quantiles: FloatArray
) -> FloatArray:
    """A span as it would have been served: calibrated through time, from what the span before it taught.

    Args:
        lead: Windows of that span, every target final by the first as_of of the next.
        lead_quantiles: `(m, horizon, 7)` uncalibrated log returns for them.
        windows: The `n` windows of the span, in one walk by instant, whatever their calendars.
        quantiles: `(n, horizon, 7)` uncalibrated log returns for them.

    Returns:
        `(n, horizon, 7)` calibrated log returns, each by outcomes that were final when it was made.
    """
    return calibrate_rows(_rows(windows, quantiles, holdout_state(lead, lead_quantiles)))


def _rows(windows: PooledWindows, quantiles: FloatArray, initial: CalibrationState | None = None) -> CalibrationRows:
    return CalibrationRows(
        as_of=windows.as_of,
        final_at=windows.final_at,
        target_final_at=windows.target_final_at,
        sigma=windows.sigma,
        raw=quantiles,
        actual=actual_returns(windows),
        initial=initial,
    )
