"""Rows that are left out of a comparison, and the served rows of a file with seeds."""

from dataclasses import replace

import numpy as np
import pytest

from models.backtest.forecast_table import UNKNOWN, Entry, ForecastTable, clean_table, join, served_rows
from tests.support.backtest_factory import Maker, simulate, table_from

PANEL = simulate(symbols=3, sessions=20)
WALK = Maker("random_walk")


@pytest.fixture
def table() -> ForecastTable:
    """3 symbols x 16 as_of x 3 steps."""
    return table_from(PANEL, WALK).take(np.arange(144))  # a copy that tests may change


def test_a_valid_table_is_unchanged(table: ForecastTable) -> None:
    kept, notes = clean_table(table)
    assert (len(kept), notes) == (144, ())
    assert kept.entries == (Entry("random_walk", "multi_step", 5),)
    assert kept.entries[0].label == "random_walk multi_step 5"


def test_rows_without_quantiles_count_as_missing(table: ForecastTable) -> None:
    table.quantiles[:4, 2] = np.nan
    table.sigma[10] = np.nan
    kept, notes = clean_table(table)
    assert len(kept) == 139
    assert notes == ("5 rows of random_walk multi_step 5 have no quantiles or no sigma and count as missing",)


def test_crossing_quantiles_count_as_missing(table: ForecastTable) -> None:
    table.quantiles[7] = table.quantiles[7][::-1].copy()
    kept, notes = clean_table(table)
    assert len(kept) == 143
    assert notes[0].startswith("1 rows of random_walk multi_step 5 have crossing quantiles")


def test_rows_without_an_outcome_are_left_out(table: ForecastTable) -> None:
    table.actual[[0, 50]] = np.nan
    kept, notes = clean_table(table)
    assert (len(kept), notes) == (142, ("2 rows have no outcome yet and are left out",))


def test_a_symbol_whose_price_never_changed_is_left_out(table: ForecastTable) -> None:
    table.actual[table.symbol == 1] = 0.0
    kept, notes = clean_table(table)
    assert len(kept) == 96
    assert set(np.unique(kept.symbol)) == {0, 2}
    assert notes[0].startswith("the price of S01 never changed")


def test_duplicate_rows_count_once(table: ForecastTable) -> None:
    twice = join([table, table.take(np.arange(10))])
    kept, notes = clean_table(twice)
    assert len(kept) == 144
    assert notes == ("10 rows are duplicates, 0 of them with different quantiles; the first of each is kept",)


def test_of_duplicates_that_differ_the_first_is_kept(table: ForecastTable) -> None:
    other = table.take(np.arange(2))
    kept, notes = clean_table(join([table, replace(other, quantiles=other.quantiles + 1)]))
    np.testing.assert_array_equal(kept.quantiles, table.quantiles)
    assert "2 rows are duplicates, 2 of them with different quantiles" in notes[0]


def test_rows_without_a_seed_are_served_if_the_file_has_them() -> None:
    table = table_from(PANEL, WALK, replace(WALK, seed=0, width=2.0))
    kept = served_rows(table)
    assert (len(kept), set(kept.seed)) == (144, {UNKNOWN})
    np.testing.assert_array_equal(kept.quantiles, table_from(PANEL, WALK).quantiles)


def test_seeds_alone_are_averaged_quantile_by_quantile() -> None:
    table = table_from(PANEL, replace(WALK, seed=0, width=1.0), replace(WALK, seed=7, width=2.0))
    expected = table_from(PANEL, replace(WALK, width=1.5))
    kept = served_rows(table)
    assert set(kept.seed) == {UNKNOWN}
    order, expected_order = np.argsort(kept.keys()), np.argsort(expected.keys())
    np.testing.assert_allclose(kept.quantiles[order], expected.quantiles[expected_order], atol=1e-15)


def test_a_row_that_one_seed_lacks_is_not_served() -> None:
    both = table_from(PANEL, replace(WALK, seed=0), replace(WALK, seed=7))
    assert len(served_rows(both.take(np.arange(len(both) - 4)))) == 140
