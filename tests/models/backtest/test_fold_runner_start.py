"""What calibration knows before the first as_of of a backtest."""

from dataclasses import replace

import numpy as np

from models.backtest.fold_runner import start_of
from models.backtest.folds import Fold
from models.backtest.protocols import ForecastHistory

DAYS = np.datetime64("2015-01-01", "D") + np.arange(300)
FINAL = DAYS.astype("datetime64[s]") + np.timedelta64(22, "h")
SIGMA = 0.02
SHAPE = np.array([-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96])
DATES = (DAYS[0], DAYS[-1])
FOLD = Fold(1, DATES, DATES, DATES, FINAL[0], FINAL[200])


def lead(width: float, seed: int = 0) -> ForecastHistory:
    """A forecaster of normal returns whose quantiles are `width` times too wide, 40 symbols a day."""
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


def test_too_wide_a_forecaster_starts_narrower_and_too_narrow_a_one_wider() -> None:
    wide, right, narrow = (start_of(lead(width), FOLD) for width in (1.5, 1.0, 0.6))
    assert wide.steps[0].days == right.steps[0].days == 200
    widths = [np.asarray(state.steps[0].width) for state in (wide, right, narrow)]
    # Bounds of the levels 2.5 % and 97.5 %: how far they are moved, outwards above 0.
    assert (widths[0][[0, -1]] < widths[1][[0, -1]]).all()
    assert (widths[1][[0, -1]] < widths[2][[0, -1]]).all()


def test_outcomes_that_are_final_after_the_cut_are_not_known() -> None:
    told = lead(1.0)
    later = told.target_final_at[:, 0] > FOLD.cut_at
    changed = replace(told, actual=np.where(later[:, None], 9.0, told.actual))
    assert start_of(changed, FOLD) == start_of(told, FOLD)
    earlier = replace(told, actual=np.where(~later[:, None], 9.0, told.actual))
    assert start_of(earlier, FOLD) != start_of(told, FOLD)
