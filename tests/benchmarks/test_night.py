"""The parts of the night's benchmark: its vendor, read through yfinance, and the growth of a cost."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.night.growth import fit_growth
from benchmarks.speed.night.vendor import MARKET, VOLATILITY, Market, Vendor, names
from service.prices.adjustment.corporate_actions import ActionKind
from service.prices.sources.base import UnknownSymbol
from service.prices.sources.yahoo import YahooSource
from tests.support.standin import reset_yfinance

FIRST, LAST = date(2023, 1, 3), date(2024, 12, 31)
MARKET_PRICES = Market(FIRST, LAST, nights=3)
LATE_SPLIT = next(
    name for name in names(400) if any(place >= len(MARKET_PRICES) - 3 for place in MARKET_PRICES.series(name).splits)
)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    reset_yfinance()
    with Vendor(MARKET_PRICES, (LATE_SPLIT, MARKET, VOLATILITY)) as running:
        yield running
    reset_yfinance()


def test_it_serves_what_had_opened_and_rebases_at_a_split(vendor: Vendor, tmp_path: Path) -> None:
    source = YahooSource(tmp_path, vendor.url)
    before, after = datetime(2024, 12, 26, 23, tzinfo=UTC), datetime(2024, 12, 31, 23, tzinfo=UTC)
    vendor.until = before
    old = source.fetch(LATE_SPLIT, None, before)
    source.begin_run()
    vendor.until = after
    new = source.fetch(LATE_SPLIT, None, after)
    assert [str(history.bars.index[-1].date()) for history in (old, new)] == ["2024-12-26", "2024-12-31"]
    ratio = next(iter(MARKET_PRICES.series(LATE_SPLIT).splits.values()))
    common = new.bars.loc[: old.bars.index[-1]]
    np.testing.assert_allclose(old.bars["close"] / common["close"], ratio, rtol=1e-4)
    splits = [[a.value for a in history.actions if a.kind is ActionKind.SPLIT] for history in (old, new)]
    assert splits == [[], [ratio]]
    with pytest.raises(UnknownSymbol):
        source.fetch("N9999", None, after)


def test_its_prices_are_the_same_each_time_and_their_volatility_clusters() -> None:
    market = Market(date(2005, 1, 3), LAST, nights=3)
    series = market.series("N0007")
    again = Market(date(2005, 1, 3), LAST, nights=3).series("N0007")
    assert all(np.array_equal(series.bars[name], again.bars[name]) for name in series.bars)
    returns = np.diff(np.log(market.series(MARKET).bars["close"]))
    sizes = np.abs(returns) - np.abs(returns).mean()
    assert (sizes[1:] * sizes[:-1]).mean() / sizes.var() > 0.1
    assert abs((returns[1:] * returns[:-1]).mean() / returns.var()) < 0.05
    low, high = series.bars["low"], series.bars["high"]
    assert bool((low < series.bars["close"]).all() and (high > series.bars["open"]).all())


def test_a_square_grows_with_the_exponent_two() -> None:
    growth = fit_growth([10, 20, 40, 80], [1.0, 4.0, 16.0, 64.0])
    assert growth.exponent == pytest.approx(2.0)
    assert growth.low == pytest.approx(2.0) == growth.high


def test_the_band_is_that_of_a_regression() -> None:
    """Logarithms 0, 1.1, 1.9 and 3 at 0, 1, 2 and 3."""
    symbols = [float(np.exp(place)) for place in range(4)]
    growth = fit_growth(symbols, np.exp([0.0, 1.1, 1.9, 3.0]))  # type: ignore[arg-type]
    assert growth.exponent == pytest.approx(0.98)
    # Residuals -0.03, 0.09, -0.09, 0.03; their squares sum to 0.018; error sqrt(0.018 / 2 / 5); t of 2: 4.30265.
    assert growth.high - growth.exponent == pytest.approx(4.30265 * 0.0424264, rel=1e-4)


def test_growth_needs_two_sizes() -> None:
    with pytest.raises(ValueError, match="at two numbers of symbols"):
        fit_growth([50, 50], [1.0, 2.0])
