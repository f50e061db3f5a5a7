"""Calibration of one step, compared with literal numbers."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.calibration import CalibrationState, StepOutcomes, StepState, calibrate_batch, calibrate_step, learn_step

RAW = np.array([[-0.04, -0.025, -0.01, 0.0, 0.01, 0.025, 0.04]])
SIGMA = np.array([0.02])


def outcomes(*actual: float, sigma: float = 0.02) -> StepOutcomes:
    n = len(actual)
    return StepOutcomes(RAW.repeat(n, axis=0), np.full(n, sigma), np.array(actual))


def test_the_initial_state_leaves_the_raw_quantiles_unchanged() -> None:
    assert calibrate_step(StepState(), RAW / 3, SIGMA, 3).tolist() == (RAW / 3).tolist()


def test_width_centre_and_median_move_their_quantiles() -> None:
    state = StepState(width=(0.5, 0.2, 0.1), centre=(0.1, 0.0, 0.0), median=0.05)
    # Units of sigma * sqrt(step) = 0.02 * 2: outermost -0.04 + (0.1 - 0.5) * 0.04, 0.04 + (0.1 + 0.5) * 0.04.
    expected = [[-0.056, -0.033, -0.014, 0.002, 0.014, 0.033, 0.064]]
    np.testing.assert_allclose(calibrate_step(state, RAW, SIGMA, 4), expected, rtol=0, atol=1e-15)


def test_the_slope_widens_where_volatility_is_above_the_reference() -> None:
    state = StepState(slope=(0.5, 0.5, 0.5), reference=float(np.log(0.01)))
    found = calibrate_step(state, np.concatenate([RAW, RAW]), np.array([0.01, 0.02]), 1)
    # log 2 = 0.693147...: the second row's outer quantile moves by 0.5 * 0.693147 * 0.02.
    assert found[0].tolist() == RAW[0].tolist()
    assert found[1, 6] == pytest.approx(0.04 + 0.0069314718056, abs=1e-12)
    assert found[1, 0] == pytest.approx(-0.04 - 0.0069314718056, abs=1e-12)


def test_relative_volatility_is_clipped() -> None:
    state = StepState(slope=(1.0, 0.0, 0.0), reference=float(np.log(0.001)))
    assert calibrate_step(state, RAW, SIGMA, 1)[0, 6] == pytest.approx(0.04 + 1.5 * 0.02, abs=1e-12)
    below = StepState(slope=(0.1, 0.0, 0.0), reference=float(np.log(0.5)))
    assert calibrate_step(below, RAW, SIGMA, 1)[0, 6] == pytest.approx(0.04 - 0.1 * 1.5 * 0.02, abs=1e-12)


def test_crossing_quantiles_are_sorted() -> None:
    squeezed = calibrate_step(StepState(width=(-2.0, 0.0, 0.0)), RAW, SIGMA, 1)
    assert squeezed.tolist() == [[-0.025, -0.01, 0.0, 0.0, 0.0, 0.01, 0.025]]


def test_a_day_within_every_interval_narrows_them() -> None:
    after = learn_step(StepState(), outcomes(0.001, -0.001), 1)
    # Two symbols move the state by 2 / (2 + 2) = half the rates; each width by rate * (level - 1) / 2 of that.
    assert after.width == pytest.approx((-0.08 * 0.05 / 4, -0.06 * 0.2 / 4, -0.04 * 0.5 / 4), abs=1e-15)
    assert after.centre == (0.0, 0.0, 0.0)
    assert after.median == 0.0
    assert after.reference == pytest.approx(-3.912023005428146, abs=1e-12)
    assert after.days == 1


def test_a_day_above_every_interval_widens_and_lifts_them() -> None:
    after = learn_step(StepState(), outcomes(0.3, 0.5), 1)
    assert after.width == pytest.approx((0.08 * 0.95 / 4, 0.06 * 0.8 / 4, 0.04 * 0.5 / 4), abs=1e-15)
    assert after.centre == pytest.approx((0.016 / 4, 0.005 / 4, 0.002 / 4), abs=1e-15)
    assert after.median == pytest.approx(0.002 / 2 * 0.5, abs=1e-15)


def test_an_outcome_on_a_quantile_is_inside() -> None:
    after = learn_step(StepState(), outcomes(0.04, -0.04), 1)
    assert after.width[0] == pytest.approx(-0.08 * 0.05 / 4, abs=1e-15)
    assert learn_step(StepState(), outcomes(0.0), 1).median == pytest.approx(0.002 / 3 * 0.5, abs=1e-15)


def test_a_day_of_high_volatility_above_every_interval_raises_slope_and_reference() -> None:
    state = StepState(reference=-4.605170185988091, days=4)  # log 0.01: a sigma of 0.02 is log 2 = 0.693147... above
    after = learn_step(state, outcomes(0.3, 0.5), 1)
    # Rates 6 * (0.08, 0.06, 0.04), shortfalls (0.95, 0.8, 0.5), half of them for two symbols, and half of that.
    assert after.slope == pytest.approx((0.07901877858, 0.04990659700, 0.02079441542), abs=1e-10)
    assert after.reference == pytest.approx(-4.605170185988091 + 0.02 / 2 * 0.6931471805599453, abs=1e-12)
    assert after.days == 5


def test_the_first_reference_keeps_the_days_counted_before() -> None:
    assert learn_step(StepState(days=4), outcomes(0.3), 1).days == 5


def test_widths_stop_at_their_bounds() -> None:
    assert learn_step(StepState(width=(2.0, 2.0, 2.0)), outcomes(9.0, 9.0), 1).width == (2.0, 2.0, 2.0)
    narrow = StepState(width=(-2.0, -2.0, -2.0))
    wide = StepOutcomes(50 * RAW, SIGMA, np.array([0.0]))
    assert learn_step(narrow, wide, 1).width == (-2.0, -2.0, -2.0)


def test_a_day_is_one_observation_for_any_number_of_symbols() -> None:
    one, many = learn_step(StepState(), outcomes(0.3), 1), learn_step(StepState(), outcomes(*[0.3] * 98), 1)
    assert one.width[0] == pytest.approx(0.08 * 0.95 / 2 / 3, abs=1e-15)
    assert many.width[0] == pytest.approx(0.08 * 0.95 / 2 * 0.98, abs=1e-15)


def test_unknown_outcomes_change_nothing() -> None:
    assert learn_step(StepState(), outcomes(np.nan, np.nan), 1) == StepState()
    assert learn_step(StepState(), outcomes(0.3, np.nan), 2) == learn_step(StepState(), outcomes(0.3), 2)


def test_a_batch_equals_its_steps() -> None:
    states = (StepState(), StepState(width=(0.5, 0.2, 0.1)))
    raw = np.stack([RAW, RAW], axis=1)
    found = calibrate_batch(states, raw, SIGMA)
    assert found.shape == (1, 2, 7)
    assert found[:, 0].tolist() == RAW.tolist()
    assert found[:, 1].tolist() == calibrate_step(states[1], RAW, SIGMA, 2).tolist()


parts = st.floats(-1, 1)
triples = st.tuples(parts, parts, parts)
STATES = st.builds(StepState, triples, triples, triples, st.floats(-0.5, 0.5), st.none() | st.floats(-6, -2))
ACTUALS = arrays(np.float64, st.integers(1, 8), elements=st.floats(-0.5, 0.5))


@given(state=STATES, actual=ACTUALS, sigma=st.floats(1e-3, 0.5), step=st.integers(1, 3))
def test_any_state_gives_ascending_quantiles_and_a_bounded_step(
    state: StepState, actual: np.ndarray, sigma: float, step: int
) -> None:
    day = outcomes(*actual.tolist(), sigma=sigma)
    after = learn_step(state, day, step)
    assert bool((np.diff(calibrate_step(after, day.raw, day.sigma, step), axis=1) >= 0).all())
    assert np.abs(np.subtract(after.width, state.width)).max() <= 0.04
    assert np.abs(np.subtract(after.slope, state.slope)).max() <= 6 * 0.08 * 0.95 / 2 * 1.5
    assert np.abs(np.subtract(after.centre, state.centre)).max() <= 0.008
    assert abs(after.median - state.median) <= 0.001
    assert all(abs(value) <= 2 for value in after.width)


@given(state=STATES)
def test_a_state_survives_json(state: StepState) -> None:
    whole = CalibrationState((state, state))
    assert CalibrationState.from_dict(whole.to_dict()) == whole


def test_a_stored_state_of_another_form_is_an_error() -> None:
    stored = CalibrationState.start(1).to_dict()
    stored["steps"][0]["width"] = [0.1]
    with pytest.raises(ValueError, match=r"1 values of width, 3 are needed"):
        CalibrationState.from_dict(stored)
    with pytest.raises(ValueError, match=r"lacks a part \(KeyError\('joint'\)\)"):
        CalibrationState.from_dict({"steps": []})


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_wrong_widths_are_corrected(spread: float) -> None:
    """With outcomes half or twice as wide as forecast, all intervals reach their nominal coverage after enough days."""
    random = np.random.default_rng(5)
    normal = np.array([-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964])
    state, inside = StepState(), []
    for day in range(1500):
        raw, sigma = np.tile(normal * 0.02, (40, 1)), np.full(40, 0.02)
        actual = random.normal(0, 0.02 * spread, 40)
        if day >= 750:
            quantiles = calibrate_step(state, raw, sigma, 1)
            pairs = [(quantiles[:, low] <= actual) & (actual <= quantiles[:, -1 - low]) for low in range(3)]
            inside.append([pair.mean() for pair in pairs])
        state = learn_step(state, StepOutcomes(raw, sigma, actual), 1)
    found = np.mean(inside, axis=0)
    assert found == pytest.approx([0.95, 0.80, 0.50], abs=0.012)
    assert all(one != other for one, other in pairwise(state.width))
