"""The initial calibration of a new forecaster, learnt from its forecasts of the test span."""

from models.calibration.state import CalibrationState
from models.calibration.walk import CalibrationRows, calibrate, calibrate_rows
from models.preprocessing.price_history import FloatArray
from models.preprocessing.windows import PooledWindows
from models.training.holdout import actual_returns


def holdout_state(windows: PooledWindows, quantiles: FloatArray) -> CalibrationState:
    """Return the state after the test span, which the forecaster was neither trained nor validated on.

    Windows of several calendars are processed together, by instant: each calendar starts from the same state.

    Args:
        windows: The `n` windows of the test span.
        quantiles: `(n, horizon, 7)` the forecaster's uncalibrated log returns for them.

    Returns:
        The state after the last outcome; the counts of the joint band start at zero.
    """
    return calibrate(_rows(windows, quantiles)).state.with_counts_reset()


def calibrated_after(
    earlier: PooledWindows, earlier_quantiles: FloatArray, windows: PooledWindows, quantiles: FloatArray
) -> FloatArray:
    """Calibrate a span through time as it would have been served, starting from the span before it.

    Args:
        earlier: Windows of the span before, each target final by the first as_of of the next span.
        earlier_quantiles: `(m, horizon, 7)` uncalibrated log returns for them.
        windows: The `n` windows of the span, processed together by instant, whatever their calendars.
        quantiles: `(n, horizon, 7)` uncalibrated log returns for them.

    Returns:
        `(n, horizon, 7)` log returns, each calibrated with outcomes that were final when it was made.
    """
    return calibrate_rows(_rows(windows, quantiles, holdout_state(earlier, earlier_quantiles)))


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
