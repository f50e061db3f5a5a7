"""What becomes final later never changes an earlier calibrated row."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calibration import calibrate
from tests.support.calibration_rows import make_rows

DAYS, SYMBOLS = 14, 3
ROWS = make_rows(DAYS, SYMBOLS, horizon=3, seed=11)
FOUND = calibrate(ROWS)


@settings(deadline=None, max_examples=60)
@given(day=st.integers(0, DAYS), minutes=st.sampled_from([-1, 0, 1]), seed=st.integers(0, 2**32 - 1))
def test_the_future_never_changes_a_calibrated_row(day: int, minutes: int, seed: int) -> None:
    instant = ROWS.final_at[0] + np.timedelta64(24 * 60 * day + minutes, "m")
    random = np.random.default_rng(seed)
    later = ROWS.target_final_at > instant
    actual = np.where(later, random.normal(0, 0.1, ROWS.actual.shape), ROWS.actual)
    actual[later & (random.random(actual.shape) < 0.3)] = np.nan
    raw, after = ROWS.raw.copy(), ROWS.final_at > instant
    raw[after] *= 1 + random.random()
    changed = calibrate(replace(ROWS, actual=actual, raw=raw))
    assert changed.quantiles[~after].tolist() == FOUND.quantiles[~after].tolist()
    assert changed.factors[~after].tolist() == FOUND.factors[~after].tolist()


@settings(deadline=None, max_examples=30)
@given(day=st.integers(0, DAYS - 2), step=st.integers(0, 2))
def test_what_is_final_in_time_does_change_it(day: int, step: int) -> None:
    actual = ROWS.actual.copy()
    row = day * SYMBOLS
    if np.isnan(actual[row, step]):
        return
    actual[row, step] = -5.0 * np.sign(actual[row, step])
    changed = calibrate(replace(ROWS, actual=actual)).quantiles[:, step]
    moved = (changed != FOUND.quantiles[:, step]).any(axis=1).reshape(DAYS, SYMBOLS).any(axis=1)
    assert not moved[: day + step + 1].any()
    assert moved[day + step + 1 :].all()
