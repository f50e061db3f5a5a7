"""Factor actions from a raw and an adjusted close."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.prices.sources.base import Action, ActionKind
from service.prices.sources.implied_factors import derive_factors, rounding_unit

DAYS = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-01-07"))


def test_a_step_of_the_ratio_is_a_factor_on_its_day() -> None:
    close = np.array([100.0, 50.0, 80.0, 40.0, 60.0, 20.0])
    # Ratio 0.95 until the 3rd, 1.0 from the 4th on.
    adjusted = np.array([95.0, 47.5, 76.0, 40.0, 60.0, 20.0])

    (found,) = derive_factors(DAYS, close, adjusted)

    assert found == Action(date(2018, 1, 4), ActionKind.FACTOR, found.value)
    assert found.value == pytest.approx(0.95, abs=1e-3)


def test_the_level_of_the_ratio_is_ignored() -> None:
    close = np.array([100.0, 50.0, 80.0, 40.0, 60.0, 20.0])
    assert derive_factors(DAYS, close, close * 0.5) == ()
    assert derive_factors(DAYS, close, close) == ()


def test_steps_in_both_directions_are_found() -> None:
    close = np.full(6, 100.0)
    adjusted = np.array([90.25, 90.25, 99.25, 99.25, 100.25, 98.25])

    found = derive_factors(DAYS, close, adjusted)

    assert [(action.ex_date.day, round(action.value, 4)) for action in found] == [(3, 0.9093), (5, 0.99), (6, 1.0204)]


def test_a_small_dividend_between_whole_yen_closes_is_found() -> None:
    close = np.array([101.0, 99.0, 100.0, 102.0, 98.0, 100.0])
    adjusted = np.round(close * np.array([0.997, 0.997, 0.997, 1.0, 1.0, 1.0]), 3)

    (found,) = derive_factors(DAYS, close, adjusted)

    assert found.ex_date == date(2018, 1, 4)
    assert found.value == pytest.approx(0.997, abs=1e-5)


def test_missing_and_invalid_figures_are_skipped() -> None:
    close = np.array([100.0, np.nan, 0.0, -5.0, 100.0, np.inf])
    adjusted = np.array([98.0, 98.0, 98.0, 98.0, 100.0, 100.0])

    found = derive_factors(DAYS, close, adjusted)

    assert [action.ex_date for action in found] == [date(2018, 1, 5)]
    assert derive_factors(DAYS, np.full(6, np.nan), adjusted) == ()


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ([12.0, 7.0], 1.0),
        ([12.25, 7.5], 0.01),
        ([2.448127, 3.1], 1e-6),
        ([4000.123456, 0.1], 1e-6),
        ([1 / 3, 2.0], 0.0),
    ],
)
def test_the_rounding_unit_is_found(values: list[float], unit: float) -> None:
    assert rounding_unit(np.array(values)) == pytest.approx(unit)


@given(seed=st.integers(0, 10_000), ratio=st.floats(0.02, 1.0), decimals=st.integers(2, 6))
def test_rounding_noise_gives_no_actions(seed: int, ratio: float, decimals: int) -> None:
    close = np.round(np.random.default_rng(seed).uniform(1.0, 500.0, size=300), 2)
    adjusted = np.round(close * ratio, decimals)
    days = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-01-01") + 300)

    assert derive_factors(days, close, adjusted) == ()


@given(seed=st.integers(0, 10_000), dividend=st.floats(0.001, 0.1), row=st.integers(50, 250))
def test_an_action_is_found_on_its_day_with_its_size(seed: int, dividend: float, row: int) -> None:
    close = np.round(np.random.default_rng(seed).uniform(20.0, 500.0, size=300), 2)
    adjusted = np.round(close * np.where(np.arange(300) < row, 1 - dividend, 1.0), 6)
    days = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-01-01") + 300)

    found = derive_factors(days, close, adjusted)

    # Closes are cents, so a factor is known to about a thousandth of a percent from fifty rows on.
    assert [action.ex_date for action in found] == [date.fromordinal(date(2018, 1, 1).toordinal() + row)]
    assert found[0].value == pytest.approx(1 - dividend, abs=2e-4)


def test_a_small_step_between_coarse_figures_is_found_soon() -> None:
    # Adjusted closes in cents near 2.50: a step of 0.1 % is a quarter of a cent, less than their rounding.
    close = np.round(np.linspace(50.0, 60.0, 400), 2)
    adjusted = np.round(close * np.where(np.arange(400) < 200, 0.05 * 0.998, 0.05), 2)
    days = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-01-01") + 400)

    found = derive_factors(days, close, adjusted)

    assert len(found) == 1
    assert 200 <= (found[0].ex_date - date(2018, 1, 1)).days < 260
    # The ratio after the step is that of one row: half a cent of 2.50 is 0.2 %.
    assert found[0].value == pytest.approx(0.998, abs=2e-3)
