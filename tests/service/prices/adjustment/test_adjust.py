"""Adjustment factors of literal closes."""

from datetime import date

import numpy as np
import pytest

from service.prices.adjustment.adjust import adjustment_factors
from service.prices.sources.base import Action, ActionKind
from tests.support.fakes import JANUARY

DAYS = np.array(JANUARY[:5], "datetime64[D]")  # 2, 3, 4, 5, 8 January
CLOSES = np.array([100.0, 50.0, 40.0, 20.0, 25.0])


def dividend(day: int, value: float) -> Action:
    return Action(date(2024, 1, day), ActionKind.DIVIDEND, value)


def test_without_actions_every_factor_is_one() -> None:
    assert adjustment_factors(DAYS, CLOSES, ()).tolist() == [1.0] * 5


def test_a_dividend_lowers_closes_before_its_ex_date() -> None:
    # 2 on a close of 40: 0.95 for the 2nd, 3rd and 4th.
    assert adjustment_factors(DAYS, CLOSES, [dividend(5, 2.0)]).tolist() == pytest.approx([0.95, 0.95, 0.95, 1, 1])


def test_actions_multiply_in_any_order() -> None:
    # 5 on a close of 100 (0.95) with ex-date the 3rd; a factor of 0.8 on the 8th.
    actions = [Action(date(2024, 1, 8), ActionKind.FACTOR, 0.8), dividend(3, 5.0)]
    expected = [0.76, 0.8, 0.8, 0.8, 1.0]
    assert adjustment_factors(DAYS, CLOSES, actions).tolist() == pytest.approx(expected)
    assert adjustment_factors(DAYS, CLOSES, actions[::-1]).tolist() == pytest.approx(expected)


def test_two_actions_of_one_day_multiply() -> None:
    actions = [dividend(5, 4.0), Action(date(2024, 1, 5), ActionKind.FACTOR, 0.5)]
    assert adjustment_factors(DAYS, CLOSES, actions).tolist() == pytest.approx([0.45, 0.45, 0.45, 1, 1])


def test_a_split_has_no_effect() -> None:
    assert adjustment_factors(DAYS, CLOSES, [Action(date(2024, 1, 4), ActionKind.SPLIT, 2.0)]).tolist() == [1.0] * 5


def test_an_ex_date_on_a_missing_bar_applies_from_the_next_one() -> None:
    closes = np.array([100.0, 50.0, np.nan, 20.0, 25.0])
    # The ex-date, the 4th, has no bar: the last close before is 50, the 5th trades without the dividend.
    assert adjustment_factors(DAYS, closes, [dividend(4, 5.0)]).tolist() == pytest.approx([0.9, 0.9, 0.9, 1, 1])


def test_an_ex_date_on_a_weekend_applies_from_the_next_session() -> None:
    assert adjustment_factors(DAYS, CLOSES, [dividend(6, 2.0)]).tolist() == pytest.approx([0.9, 0.9, 0.9, 0.9, 1])


@pytest.mark.parametrize("day", [1, 2, 9])
def test_actions_outside_the_bars_have_no_effect(day: int) -> None:
    assert adjustment_factors(DAYS, CLOSES, [dividend(day, 2.0)]).tolist() == [1.0] * 5


def test_a_dividend_as_large_as_the_close_is_ignored() -> None:
    assert adjustment_factors(DAYS, CLOSES, [dividend(3, 100.0)]).tolist() == [1.0] * 5


def test_factors_without_bars_or_closes() -> None:
    assert adjustment_factors(DAYS[:0], CLOSES[:0], [dividend(3, 1.0)]).tolist() == []
    assert adjustment_factors(DAYS, np.full(5, np.nan), [dividend(3, 1.0)]).tolist() == [1.0] * 5
