"""Numbers as people read them."""

import pytest

from service.charts.numbers import change_text, decimals, p_text, price_text, share_text
from service.charts.record_words import better_or_worse


@pytest.mark.parametrize(
    ("price", "currency", "group", "expected"),
    [
        (175.1, "USD", "equity", "175.10"),
        (6543.0, "JPY", "equity", "6,543"),
        (64321.5, "USD", "crypto", "64,321.50"),
        (1.08345, "USD", "fx", "1.08345"),
        (0.98348, "CHF", "fx", "0.98348"),
        (0.000061234, "USD", "fx", "0.00006123"),
        (151.2345, "JPY", "fx", "151.234"),
        (0.1234, "USD", "crypto", "0.1234"),
        (0.00001234, "USD", "crypto", "0.00001234"),
        (71.2, None, "other", "71.20"),
        (0.0, "USD", "equity", "0.00"),
    ],
)
def test_a_price_has_the_decimals_of_its_currency_and_scale(
    price: float, currency: str | None, group: str, expected: str
) -> None:
    assert price_text(price, decimals(price, currency, group)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (0.0051, "+0.5 %"),
        (-0.0051, "−0.5 %"),
        (0.0025, "+0.3 %"),
        (0.0004, "0.0 %"),
        (-0.0004, "0.0 %"),
        (0.0, "0.0 %"),
        (1.5, "+150.0 %"),
    ],
)
def test_below_rounding_a_change_is_nothing(change: float, expected: str) -> None:
    assert change_text(change) == expected


def test_a_zero_has_no_sign() -> None:
    assert price_text(-0.001, 2) == "0.00"
    assert price_text(-1.5, 2) == "−1.50"


def test_losing_is_said_as_plainly_as_winning() -> None:
    assert better_or_worse(0.014, True) == "1.4 % better"
    assert better_or_worse(-0.023, True) == "2.3 % worse"
    assert better_or_worse(0.0001, True) == "no better (0.0 %)"


def test_what_may_be_chance_is_neither_better_nor_worse() -> None:
    assert better_or_worse(0.014, False) == "+1.4 %"
    assert better_or_worse(-0.023, False) == "−2.3 %"
    assert better_or_worse(-0.0001, False) == "no better (0.0 %)"


def test_halves_are_rounded_up_as_the_page_does() -> None:
    assert price_text(698.125, 2) == "698.13"
    assert share_text(66 / 80) == "83 %"


def test_shares_and_p() -> None:
    assert share_text(0.789) == "79 %"
    assert (p_text(None), p_text(0.0001), p_text(0.042)) == ("no p", "p < 0.001", "p 0.042")
