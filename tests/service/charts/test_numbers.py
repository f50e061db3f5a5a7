"""Formatted numbers."""

import pytest

from service.charts.numbers import change_text, decimals, p_text, price_text, share_text
from service.charts.record_text import better_or_worse
from tests.support.shown_numbers import CHANGES, PRICES, SHARES


@pytest.mark.parametrize(("price", "currency", "group", "expected"), PRICES)
def test_a_price_has_the_decimals_of_its_currency_and_scale(
    price: float, currency: str | None, group: str, expected: str
) -> None:
    assert price_text(price, decimals(price, currency, group)) == expected


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_change_below_rounding_is_zero(change: float, expected: str) -> None:
    assert change_text(change) == expected


def test_a_zero_has_no_sign() -> None:
    assert price_text(-0.001, 2) == "0.00"
    assert price_text(-1.5, 2) == "−1.50"


def test_better_and_worse_are_described_alike() -> None:
    assert better_or_worse(0.014, True) == "1.4 % better"
    assert better_or_worse(-0.023, True) == "2.3 % worse"
    assert better_or_worse(0.0001, True) == "no better (0.0 %)"


def test_an_insignificant_skill_is_neither_better_nor_worse() -> None:
    assert better_or_worse(0.014, False) == "+1.4 %"
    assert better_or_worse(-0.023, False) == "−2.3 %"
    assert better_or_worse(-0.0001, False) == "no better (0.0 %)"


@pytest.mark.parametrize(("share", "expected"), SHARES)
def test_a_share_is_a_whole_percentage_halves_up(share: float, expected: str) -> None:
    assert share_text(share) == expected


def test_p() -> None:
    assert (p_text(None), p_text(0.0001), p_text(0.042)) == ("no p", "p < 0.001", "p 0.042")
