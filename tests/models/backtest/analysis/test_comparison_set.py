"""Entries are compared on common rows, one comparison set per set of steps."""

import numpy as np
import pandas as pd
import pytest

from models.backtest.analysis.comparison_set import comparison_sets
from tests.support.backtest_factory import Maker, rows_of, simulate, table_from, table_of

PANEL = simulate(symbols=4, sessions=30)  # 26 as_of sessions
WALK, ONE = Maker("random_walk"), Maker("random_walk", "one_step")
LSTM = Maker("lstm")


def test_there_is_a_comparison_set_per_set_of_steps() -> None:
    table = table_from(PANEL, WALK, ONE, LSTM, Maker("lstm", "one_step"))
    three, one = comparison_sets(table)
    assert (three.steps, len(three), three.days, three.horizon) == ((1, 2, 3), 312, 26, 3)
    assert [entry.label for entry in three.entries] == ["lstm multi_step 5", "random_walk multi_step 5"]
    assert (one.steps, len(one), len(one.entries)) == ((1,), 104, 4)
    assert one.reference is not None
    assert one.entries[one.reference].strategy == "multi_step"


def test_entries_are_compared_on_their_common_rows() -> None:
    walk, lstm = rows_of(PANEL, WALK), rows_of(PANEL, LSTM)
    lstm = lstm[lstm["symbol"] != "S00"]
    walk = walk[walk["as_of"] != PANEL.sessions[5]]
    (comparison,) = comparison_sets(table_of(pd.concat([walk, lstm])))
    assert len(comparison) == 3 * 25 * 3
    assert comparison.rows == 312 - 3
    assert {entry.forecaster: count for entry, count in comparison.missing.items()} == {"lstm": 75, "random_walk": 9}
    assert "S00" not in {comparison.symbols[index] for index in comparison.symbol}
    assert comparison.days == 25


def test_rows_are_aligned_in_any_order() -> None:
    table = table_from(PANEL, WALK, LSTM)
    (comparison,) = comparison_sets(table.take(np.random.default_rng(0).permutation(len(table))))
    np.testing.assert_array_equal(comparison.quantiles[0], comparison.quantiles[1])
    np.testing.assert_array_equal(comparison.loss, comparison_sets(table)[0].loss)


def test_without_common_rows_the_comparison_set_is_empty() -> None:
    walk, lstm = rows_of(PANEL, WALK), rows_of(PANEL, LSTM)
    (comparison,) = comparison_sets(table_of(pd.concat([walk[walk["symbol"] < "S02"], lstm[lstm["symbol"] >= "S02"]])))
    assert (len(comparison), comparison.days, comparison.rows) == (0, 0, 312)


def test_rows_with_different_outcomes_are_counted() -> None:
    lstm = rows_of(PANEL, LSTM)
    lstm.loc[:4, "actual"] += 0.5
    (comparison,) = comparison_sets(table_of(pd.concat([rows_of(PANEL, WALK), lstm])))
    assert comparison.conflicts == 5
    np.testing.assert_array_equal(comparison.actual, comparison_sets(table_from(PANEL, WALK))[0].actual)


def test_sums_by_day_leave_out_days_without_a_row() -> None:
    (comparison,) = comparison_sets(table_from(PANEL, WALK))
    ones = np.ones(len(comparison))
    assert comparison.by_day(ones).tolist() == [12.0] * 26
    assert comparison.by_day(ones, comparison.at_step(2) & (comparison.day < 3)).tolist() == [4.0] * 3


def test_terciles_are_thirds_of_all_rows() -> None:
    (comparison,) = comparison_sets(table_from(PANEL, WALK))
    # 312 rows; three steps share a sigma, so a bound may be between equal values
    assert np.bincount(comparison.tercile) == pytest.approx([104, 104, 104], abs=2)
    assert comparison.sigma[comparison.tercile == 0].max() <= comparison.sigma[comparison.tercile == 1].min()
    assert comparison.sigma[comparison.tercile == 1].max() <= comparison.sigma[comparison.tercile == 2].min()


def test_without_a_random_walk_there_is_no_reference() -> None:
    (comparison,) = comparison_sets(table_from(PANEL, LSTM))
    assert comparison.reference is None


@pytest.mark.parametrize("lookbacks", [(1, 5), (5, 1)])
def test_the_reference_has_the_shortest_lookback(lookbacks: tuple[int, int]) -> None:
    (comparison,) = comparison_sets(table_from(PANEL, *(Maker("random_walk", lookback=each) for each in lookbacks)))
    assert comparison.reference is not None
    assert comparison.entries[comparison.reference].lookback == 1
