"""Calibration: quantiles that hold what they promise, learnt from outcomes as they become final.

A state per step holds how far each quantile is moved; `calibrate_step` applies it, `learn_step` moves it by one
day's outcomes; `JointState` widens the intervals so that all steps hold at once. `calibrate_rows` walks a whole
table of forecasts through time the way the service does it day by day.
"""

from models.calibration.initial_state import calibrated_after, holdout_state
from models.calibration.joint_band import joint_ratio, learn_joint
from models.calibration.quantile_tracking import StepOutcomes, calibrate_batch, calibrate_step, learn_step
from models.calibration.state import CalibrationState, JointState, StepState
from models.calibration.walk import Calibrated, CalibrationRows, calibrate, calibrate_rows

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
    "holdout_state",
    "joint_ratio",
    "learn_joint",
    "learn_step",
]
