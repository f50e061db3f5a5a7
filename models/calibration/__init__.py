"""Calibration: quantiles that hold what they promise, learnt from outcomes as they become final.

A state per step holds how far each quantile is moved; `calibrate_step` applies it, `learn_step` moves it by one
day's outcomes; `JointState` widens the intervals so that all steps hold at once. `calibrate_rows` walks a whole
table of forecasts through time the way the service does it day by day.
"""

from models.calibration.joint import joint_ratio, learn_joint
from models.calibration.rows import Calibrated, CalibrationRows, calibrate, calibrate_rows
from models.calibration.start import calibrated_after, judged_state
from models.calibration.state import CalibrationState, JointState, StepState
from models.calibration.step import StepOutcomes, calibrate_batch, calibrate_step, learn_step

__all__ = [
    "Calibrated",
    "CalibrationRows",
    "CalibrationState",
    "JointState",
    "StepOutcomes",
    "StepState",
    "calibrate",
    "calibrate_batch",
    "calibrate_rows",
    "calibrate_step",
    "calibrated_after",
    "joint_ratio",
    "judged_state",
    "learn_joint",
    "learn_step",
]
