"""Calibration of a table through time, and the joint band."""

import numpy as np
import pytest

from models.calibration import (
    CalibrationRows,
    CalibrationState,
    JointState,
    StepOutcomes,
    StepState,
    calibrate,
    calibrate_rows,
    calibrate_step,
    joint_ratio,
    learn_joint,
    learn_step,
)
from models.errors import PriceHistoryError
from tests.support.calibration_rows import RAW, make_rows


def test_the_first_rows_are_raw_and_later_ones_use_final_outcomes() -> None:
    rows = make_rows(days=4, symbols=2, horizon=1, seed=3)
    found = calibrate_rows(rows)
    assert found[:2].tolist() == rows.raw[:2].tolist()
    # Forecasts of day 1 may use the outcomes of day 0, which are final with the bar of day 1.
    state = learn_step(StepState(), StepOutcomes(rows.raw[:2, 0], rows.sigma[:2], rows.actual[:2, 0]), 1)
    assert found[2:4, 0].tolist() == calibrate_step(state, rows.raw[2:4, 0], rows.sigma[2:4], 1).tolist()
    state = learn_step(state, StepOutcomes(rows.raw[2:4, 0], rows.sigma[2:4], rows.actual[2:4, 0]), 1)
    assert found[4:6, 0].tolist() == calibrate_step(state, rows.raw[4:6, 0], rows.sigma[4:6], 1).tolist()
    assert calibrate(rows).state.steps[0].days == 4


def test_a_later_step_learns_later() -> None:
    found = calibrate_rows(make_rows(days=5, symbols=2, horizon=3, seed=3))
    raw = make_rows(days=5, symbols=2, horizon=3, seed=3).raw
    changed = (found != raw).any(axis=2).reshape(5, 2, 3).all(axis=1)
    assert changed.tolist() == [
        [False, False, False], [True, False, False], [True, True, False], [True, True, True], [True, True, True],
    ]  # fmt: skip


def test_continuing_from_a_state_equals_one_pass() -> None:
    rows = make_rows(days=30, symbols=3, horizon=1, seed=8)
    whole = calibrate(rows)
    first = np.arange(len(rows.as_of)) < 60
    begun = calibrate(_part(rows, first, None))
    gone_on = calibrate(_part(rows, ~first, begun.state))
    assert gone_on.quantiles.tolist() == whole.quantiles[~first].tolist()
    assert gone_on.state == whole.state


def test_the_order_of_rows_does_not_matter() -> None:
    rows = make_rows(days=12, symbols=3, horizon=3, seed=4)
    shuffled = np.random.default_rng(0).permutation(len(rows.as_of))
    found = calibrate(_part(rows, shuffled, None))
    np.testing.assert_allclose(found.quantiles, calibrate(rows).quantiles[shuffled], rtol=0, atol=1e-14)


def test_columns_that_do_not_fit_are_an_error() -> None:
    rows = make_rows(days=3, symbols=1, horizon=3, seed=1)
    with pytest.raises(PriceHistoryError, match="give every column 3 rows"):
        CalibrationRows(rows.as_of, rows.final_at, rows.target_final_at, rows.sigma[:2], rows.raw, rows.actual)
    with pytest.raises(PriceHistoryError, match="the initial state has 1 steps, the rows have 3"):
        _part(rows, np.arange(3), CalibrationState.start(1))


def test_joint_ratio_of_a_path() -> None:
    quantiles = np.stack([RAW, 2 * RAW])[None]
    # Step 1 up 0.03 of half widths 0.01, 0.025, 0.04; step 2 down 0.04 of 0.02, 0.05, 0.08: step 1 is the largest.
    ratios = joint_ratio(quantiles, np.array([[0.03, -0.04]]))
    np.testing.assert_allclose(ratios, [[3.0, 1.2, 0.75]], rtol=0, atol=1e-12)
    assert np.isnan(joint_ratio(quantiles, np.array([[0.03, np.nan]]))).all()


def test_a_band_with_all_paths_inside_narrows_and_counts_the_issued_factors() -> None:
    state = JointState(factors=(2.0, 2.0, 2.0))
    after = learn_joint(state, np.full((2, 3), 1.5), issued=np.array([[1.0, 1.5, 2.0]] * 2))
    # Half the rate: log factor + 0.05 / 2 * (level - 1).
    assert after.factors == pytest.approx((2 * np.exp(-0.0125), 2 * np.exp(-0.005), 2 * np.exp(-0.00125)), rel=1e-14)
    assert (after.held, after.days) == ((0.0, 1.0, 1.0), 1)
    assert learn_joint(state, np.full((1, 3), np.nan)) is state


def test_the_factor_has_a_lower_and_an_upper_bound() -> None:
    narrow, wide = JointState(factors=(1.0, 1.0, 1.0)), JointState(factors=(4.0, 4.0, 4.0))
    assert learn_joint(narrow, np.zeros((9, 3))).factors == (1.0, 1.0, 1.0)
    assert learn_joint(wide, np.full((9, 3), 99.0)).factors == pytest.approx((4.0, 4.0, 4.0), rel=1e-12)


def test_the_joint_band_reaches_its_nominal_coverage() -> None:
    rows = make_rows(days=900, symbols=20, horizon=3, seed=6)
    found = calibrate(rows)
    late = rows.as_of > rows.as_of[0] + np.timedelta64(300, "D")
    ratios = joint_ratio(found.quantiles, rows.actual)[late]
    known = ~np.isnan(ratios).any(axis=1)
    held = (ratios <= found.factors[late])[known].mean(axis=0)
    assert held == pytest.approx([0.50, 0.80, 0.95], abs=0.01)
    alone = (ratios <= 1.0)[known].mean(axis=0)  # the intervals of the single steps, without the band
    assert (alone < [0.36, 0.68, 0.90]).all()


def _part(rows: CalibrationRows, chosen: np.ndarray, initial: CalibrationState | None) -> CalibrationRows:
    return CalibrationRows(
        rows.as_of[chosen], rows.final_at[chosen], rows.target_final_at[chosen], rows.sigma[chosen],
        rows.raw[chosen], rows.actual[chosen], initial,
    )  # fmt: skip
