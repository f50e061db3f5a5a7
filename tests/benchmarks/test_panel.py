"""Real prices: the grid of the panel, and the documented scores of the random walk to half a percent."""

import numpy as np
import pytest

from benchmarks.panel import load_panel, recorded_symbols
from models.baselines import fit_random_walk, random_walk_config
from models.config import Strategy
from models.errors import PriceHistoryError
from models.metrics.scoring_rules import coverage_rates, pinball
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import spans_between
from tests.support.paths import PRICES

pytestmark = [
    pytest.mark.skipif(
        not (PRICES / "us_stocks").is_dir(),
        reason="the recorded prices are not beside this checkout (../shared/prices)",
    ),
    # exchange_calendars 4.13 reads Series.values of an aware column, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:pandas.errors.Pandas4Warning"),
]


@pytest.fixture(scope="module")
def panel() -> Panel:
    return load_panel(PRICES, recorded_symbols(PRICES / "us_stocks"), ("SPY", "^VIX"))


def test_grid_and_instants(panel: Panel) -> None:
    assert len(panel.histories) == 51
    apple = panel.histories[0]
    assert (apple.symbol, len(apple)) == ("AAPL", 4822)
    assert not np.isnan(apple.close).any()
    assert apple.close[0] == pytest.approx(2.448127)
    assert apple.high[0] == pytest.approx(2.881783 * 2.448127 / 2.77214)
    row = int(np.searchsorted(apple.sessions, np.datetime64("2018-07-03")))
    # a half day in summer closes at 17:00 UTC, the next session at 20:00
    assert apple.final_at[row] == np.datetime64("2018-07-03T18:30:00")
    assert apple.final_at[row + 1] == np.datetime64("2018-07-05T21:30:00")


def test_a_session_without_a_row_is_a_hole_and_a_row_without_a_session_is_left_out(panel: Panel) -> None:
    vix = panel.references["^VIX"]
    assert np.isnan(vix.close[vix.sessions == np.datetime64("1999-12-31")]).tolist() == [True]
    assert not (vix.sessions == np.datetime64("2004-06-11")).any()


def test_a_symbol_that_is_not_recorded_is_refused() -> None:
    with pytest.raises(PriceHistoryError, match="NOPE: no NOPE"):
        load_panel(PRICES / "us_stocks", ("NOPE",), ())


def test_the_random_walk_has_its_documented_scores(panel: Panel) -> None:
    day = np.datetime64
    config = random_walk_config(Strategy.MULTI_STEP)
    windows = cut_windows(panel, config, require_targets=True)
    spans = spans_between(
        windows,
        (day("2000-03-01"), day("2014-12-31")),
        (day("2015-01-01"), day("2016-12-31")),
        (day("2017-01-01"), day("2018-12-31")),
    )
    judged = windows.select(spans.test)
    assert len(judged) == pytest.approx(25_400, rel=0.005)
    quantiles = fit_random_walk(panel, config, spans.train_until).at(judged.sigma)
    actual = judged.targets * judged.sigma[:, None] * np.sqrt([1, 2, 3])
    losses = pinball(actual, quantiles) * 1e4
    assert losses.mean() == pytest.approx(39.11, rel=0.005)
    np.testing.assert_allclose(losses.mean(axis=0), [27.95, 40.05, 49.34], rtol=0.005)
    rates = coverage_rates(actual, quantiles)
    np.testing.assert_allclose(rates[0.80], [0.806, 0.798, 0.789], atol=0.005)
    np.testing.assert_allclose(rates[0.95], [0.944, 0.941, 0.938], atol=0.005)
