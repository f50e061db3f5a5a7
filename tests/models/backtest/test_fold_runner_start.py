"""The calibration state before the first as_of of a backtest."""

from dataclasses import replace

import numpy as np

from models.backtest.fold_runner import initial_calibration
from models.backtest.folds import Fold
from models.backtest.protocols import ForecastHistory

DAYS = np.datetime64("2015-01-01", "D") + np.arange(300)
FINAL = DAYS.astype("datetime64[s]") + np.timedelta64(22, "h")
SIGMA = 0.02
SHAPE = np.array([-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96])
DATES = (DAYS[0], DAYS[-1])
FOLD = Fold(1, DATES, DATES, DATES, FINAL[0], FINAL[200])


def validation_history(width: float, seed: int = 0) -> ForecastHistory:
    """Return forecasts of normal returns with quantiles `width` times too wide, 40 symbols a day."""
    draw = np.random.default_rng(seed)
    rows = np.repeat(np.arange(300), 40)
    raw = np.broadcast_to(width * SIGMA * SHAPE, (len(rows), 1, 7)).copy()
    return ForecastHistory(
        symbol_index=np.tile(np.arange(40), 300),
        as_of=DAYS[rows],
        final_at=FINAL[rows],
        target_final_at=(FINAL[rows] + np.timedelta64(24, "h"))[:, None],
        sigma=np.full(len(rows), SIGMA),
        raw=raw,
        actual=draw.normal(0.0, SIGMA, (len(rows), 1)),
    )


def test_calibration_starts_narrower_after_wide_quantiles_and_wider_after_narrow_ones() -> None:
    wide, right, narrow = (initial_calibration(validation_history(width), FOLD) for width in (1.5, 1.0, 0.6))
    assert wide.steps[0].days == right.steps[0].days == 200
    widths = [np.asarray(state.steps[0].width) for state in (wide, right, narrow)]
    # Shifts of the bounds at 2.5 % and 97.5 %, outwards above 0.
    assert (widths[0][[0, -1]] < widths[1][[0, -1]]).all()
    assert (widths[1][[0, -1]] < widths[2][[0, -1]]).all()


def test_outcomes_that_are_final_after_the_cut_are_ignored() -> None:
    history = validation_history(1.0)
    later = history.target_final_at[:, 0] > FOLD.cut_at
    changed = replace(history, actual=np.where(later[:, None], 9.0, history.actual))
    assert initial_calibration(changed, FOLD) == initial_calibration(history, FOLD)
    earlier = replace(history, actual=np.where(~later[:, None], 9.0, history.actual))
    assert initial_calibration(earlier, FOLD) != initial_calibration(history, FOLD)
