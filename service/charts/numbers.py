"""Formats numbers: prices with the decimals of their currency and scale, changes in percent.

The page formats its numbers by the same rules, in `service/dashboard/static/format.js`.
"""

import math
from decimal import ROUND_HALF_UP, Decimal

MINUS = "\u2212"

NO_DECIMALS = frozenset({"JPY", "KRW", "VND", "CLP", "IDR"})
"""Currencies whose prices are quoted in whole units."""

EXCHANGE_RATES = "fx"
"""Group whose prices are exchange rates."""


def decimals(price: float, currency: str | None, group: str | None = None) -> int:
    """Return the number of decimals of a price.

    Args:
        price: A price of the scale in question.
        currency: ISO code, None if unknown.
        group: Training group; exchange rates have 5 decimals, 3 from a price of 20, more below 0.01.
    """
    size = abs(price)
    if group == EXCHANGE_RATES and (size >= 0.01 or size == 0):
        return 3 if size >= 20 else 5
    if currency in NO_DECIMALS:
        return 0 if size >= 10 else 2
    if size >= 1 or size == 0:
        return 2
    return 4 if size >= 0.01 else min(12, 3 - math.floor(math.log10(size)))


def price_text(price: float, places: int) -> str:
    """Return a price as text: `1,234.50`; halves are rounded up, a zero has no sign."""
    return _fixed(price, places)


def change_text(change: float) -> str:
    """Return a simple return as percent: `+0.5 %`; below rounding it is `0.0 %`, without a sign."""
    text = _fixed(100 * change, 1)
    return f"{'+' if change > 0 and text != '0.0' else ''}{text} %"


def share_text(share: float) -> str:
    """Return a share as whole percent: `79 %`."""
    return f"{percent(share)} %"


def percent(share: float) -> str:
    """Return a share as whole percent without the sign: `79`."""
    return _fixed(100 * share, 0)


def p_text(p: float | None) -> str:
    """Return a p-value as text: `p 0.04`, `p < 0.001`, `no p` for None."""
    if p is None:
        return "no p"
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}"


def _fixed(number: float, places: int) -> str:
    text = f"{Decimal(number).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):,}"
    return text.removeprefix("-") if not text.strip("-0.,") else text.replace("-", MINUS)
