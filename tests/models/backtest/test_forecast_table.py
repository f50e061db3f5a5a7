"""What is left out of a comparison, and what would be served where a file holds seeds."""

from dataclasses import replace

import numpy as np
import pytest

from models.backtest.forecast_table import UNKNOWN, Entry, ForecastTable, join, served, tidy
from tests.support.backtest_factory import Maker, simulate, table_from

PANEL = simulate(symbols=3, sessions=20)
WALK = Maker("random_walk")


@pytest.fixture
def table() -> ForecastTable:
    """3 symbols x 16 as_of x 3 steps."""
    return table_from(PANEL, WALK).take(np.arange(144))  # a copy, to be spoilt


def test_a_sound_table_is_left_as_it_is(table: ForecastTable) -> None:
    kept, notes = tidy(table)
    assert (len(kept), notes) == (144, ())
    assert kept.entries == (Entry("random_walk", "multi_step", 5),)
    assert kept.entries[0].label == "random_walk multi_step 5"


def test_rows_without_quantiles_count_as_missing(table: ForecastTable) -> None:
    table.quantiles[:4, 2] = np.nan
    table.sigma[10] = np.nan
    kept, notes = tidy(table)
    assert len(kept) == 139
    assert notes == ("5 rows of random_walk multi_step 5 have no quantiles or no sigma and count as missing",)


def test_crossing_quantiles_count_as_missing(table: ForecastTable) -> None:
    table.quantiles[7] = table.quantiles[7][::-1].copy()
    kept, notes = tidy(table)
    assert len(kept) == 143
    assert notes[0].startswith("1 rows of random_walk multi_step 5 have quantiles that cross")


def test_rows_without_an_outcome_are_left_out(table: ForecastTable) -> None:
    table.actual[[0, 50]] = np.nan
    kept, notes = tidy(table)
    assert (len(kept), notes) == (142, ("2 rows have no outcome yet and are left out",))


def test_a_price_that_never_moved_is_left_out(table: ForecastTable) -> None:
    table.actual[table.symbol == 1] = 0.0
    kept, notes = tidy(table)
    assert len(kept) == 96
    assert set(np.unique(kept.symbol)) == {0, 2}
    assert notes[0].startswith("the price of S01 never moved")


def test_rows_that_stand_twice_count_once(table: ForecastTable) -> None:
    twice = join([table, table.take(np.arange(10))])
    kept, notes = tidy(twice)
    assert len(kept) == 144
    assert notes == ("10 rows stand there twice, 0 of them with other quantiles; the first of each is kept",)


def test_of_twins_that_differ_the_first_is_kept(table: ForecastTable) -> None:
    other = table.take(np.arange(2))
    kept, notes = tidy(join([table, replace(other, quantiles=other.quantiles + 1)]))
    np.testing.assert_array_equal(kept.quantiles, table.quantiles)
    assert "2 rows stand there twice, 2 of them with other quantiles" in notes[0]


def test_what_would_be_served_is_kept_where_it_is_there() -> None:
    table = table_from(PANEL, WALK, replace(WALK, seed=0, width=2.0))
    kept = served(table)
    assert (len(kept), set(kept.seed)) == (144, {UNKNOWN})
    np.testing.assert_array_equal(kept.quantiles, table_from(PANEL, WALK).quantiles)


def test_seeds_alone_are_averaged_quantile_by_quantile() -> None:
    table = table_from(PANEL, replace(WALK, seed=0, width=1.0), replace(WALK, seed=7, width=2.0))
    expected = table_from(PANEL, replace(WALK, width=1.5))
    kept = served(table)
    assert set(kept.seed) == {UNKNOWN}
    order, wanted = np.argsort(kept.keys()), np.argsort(expected.keys())
    np.testing.assert_allclose(kept.quantiles[order], expected.quantiles[wanted], atol=1e-15)


def test_a_row_that_one_seed_lacks_is_not_served() -> None:
    both = table_from(PANEL, replace(WALK, seed=0), replace(WALK, seed=7))
    assert len(served(both.take(np.arange(len(both) - 4)))) == 140
