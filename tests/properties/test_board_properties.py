"""Whatever rows are lost, forecasters are compared on exactly what all of them have."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from models.backtest.analysis.comparison_set import comparison_sets
from models.backtest.analysis.leaderboard import rank
from tests.support.backtest_factory import Maker, rows_of, simulate, table_of

PANEL = simulate(symbols=3, sessions=16)  # 12 as_of sessions: 108 rows
WALK, LSTM = rows_of(PANEL, Maker("random_walk")), rows_of(PANEL, Maker("lstm", insight=0.2))
KEY = ["symbol", "as_of", "step"]

lost = st.sets(st.integers(0, 107), max_size=40)


@settings(max_examples=30, deadline=None)
@given(lost, lost, st.integers(0, 1000))
def test_the_rows_compared_are_the_common_ones(one: set[int], other: set[int], order: int) -> None:
    walk, lstm = WALK.drop(index=list(one)), LSTM.drop(index=list(other))
    rows = pd.concat([walk, lstm]).sample(frac=1, random_state=order)
    (comparison,) = comparison_sets(table_of(rows))
    common = walk.merge(lstm, on=KEY)
    assert len(comparison) == len(common)
    assert comparison.rows == 108 - len(one & other)
    assert sorted(comparison.missing.values()) == sorted((comparison.rows - len(walk), comparison.rows - len(lstm)))
    # the medians are 0 and a fifth of the outcome, row by row, so nothing was paired with another row's outcome
    np.testing.assert_allclose(comparison.median(0), 0.2 * comparison.actual, atol=1e-15)
    np.testing.assert_array_equal(comparison.median(1), 0.0)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 20))
def test_ratios_know_no_unit(scale: float) -> None:
    names = ["sigma", "actual", *(name for name in WALK if name.startswith(("q", "raw_q")))]
    rows = pd.concat([WALK, LSTM])
    grown = rows.assign(**{name: rows[name] * scale for name in names})
    plain, larger = (rank(comparison_sets(table_of(each))[0], None, ("lstm",)) for each in (rows, grown))
    for before, after in zip(plain.lines, larger.lines, strict=True):
        assert after.entry == before.entry
        np.testing.assert_allclose(after.ratio["overall"].value, before.ratio["overall"].value)
        np.testing.assert_allclose(after.rmse_ratio["1"].high, before.rmse_ratio["1"].high)
        np.testing.assert_allclose(after.scores.pinball, scale * before.scores.pinball)
