"""Where a new forecaster's calibration starts: on the forecasts it made out of its fit."""

import numpy as np

from models.calibration.rows import CalibrationRows, calibrate
from models.calibration.state import CalibrationState
from models.frame import FloatArray
from models.windows import PooledWindows


def judged_state(windows: PooledWindows, quantiles: FloatArray) -> CalibrationState:
    """Walk through the judging span, which the forecaster was neither fitted nor stopped on.

    Windows of several calendars are one walk, by instant: what is learnt starts every calendar.

    Args:
        windows: The `n` windows of the judging span.
        quantiles: `(n, horizon, 7)` the forecaster's uncalibrated log returns for them.

    Returns:
        What is known after the last outcome; the joint band's record starts at zero.
    """
    roots = np.sqrt(np.arange(1, quantiles.shape[1] + 1))
    rows = CalibrationRows(
        as_of=windows.as_of,
        final_at=windows.final_at,
        target_final_at=windows.target_final_at,
        sigma=windows.sigma,
        raw=quantiles,
        actual=windows.targets * windows.sigma[:, None] * roots,
    )
    return calibrate(rows).state.counted_anew()
