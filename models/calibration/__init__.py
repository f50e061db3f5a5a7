"""Calibration: correct quantiles so that intervals reach their nominal coverage, learnt from final outcomes.

The state of a step holds how far each quantile is moved; `calibrate_step` applies it, `learn_step` updates it with the
outcomes of one day. `JointState` widens the intervals so that they hold for all steps jointly. `calibrate_rows`
calibrates a whole table of forecasts through time, as the service does day by day.
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
