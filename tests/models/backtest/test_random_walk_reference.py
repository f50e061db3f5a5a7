"""The scores of the baseline, the basis of every comparison, on the recorded prices with one fit up to 2014."""

import numpy as np
import pytest

from benchmarks.accuracy.pooled import TEST, TRAIN, VALIDATION, stocks_panel
from models.backtest.folds import Fold, fold_between
from models.backtest.forecasters import BaselineForecaster
from models.config import Strategy
from models.metrics.scoring_rules import coverage_rates, pinball
from models.preprocessing.price_history import Panel
from tests.support.paths import PRICES

pytestmark = [
    pytest.mark.skipif(
        not (PRICES / "us_stocks").is_dir(),
        reason="the recorded prices are missing (../shared/prices)",
    ),
    # exchange_calendars 4.13 reads Series.values of an aware column, which pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:Series.values returning an ndarray:pandas.errors.Pandas4Warning"),
]


@pytest.fixture(scope="module")
def stocks() -> tuple[Panel, Fold]:
    panel = stocks_panel(PRICES)
    train, validation, test = (tuple(np.datetime64(day, "D") for day in span) for span in (TRAIN, VALIDATION, TEST))
    return panel, fold_between(panel, train, validation, test)


@pytest.mark.parametrize(
    ("name", "by_step", "mean"),
    [
        ("random_walk", [27.95, 40.05, 49.34], 39.11),
        ("historical", [28.83, 41.13, 50.39], 40.12),
    ],
)
def test_the_scores_of_the_baselines_are_unchanged(
    stocks: tuple[Panel, Fold], name: str, by_step: list[float], mean: float
) -> None:
    panel, fold = stocks
    history = BaselineForecaster(name, Strategy.MULTI_STEP).fit(panel, fold, lambda _: None).history(panel, *fold.test)
    known = ~np.isnan(history.actual).any(axis=1)
    loss = 1e4 * pinball(history.actual[known], history.raw[known])
    np.testing.assert_allclose(loss.mean(axis=0), by_step, rtol=0.005)
    assert loss.mean() == pytest.approx(mean, rel=0.005)
    if name == "random_walk":
        # 51 stocks on 502 sessions, the last two of which lack an outcome
        assert len(history) == 51 * 502
        inside_80 = coverage_rates(history.actual, history.raw)[0.80]
        np.testing.assert_allclose(inside_80, [0.806, 0.798, 0.789], atol=0.003)
