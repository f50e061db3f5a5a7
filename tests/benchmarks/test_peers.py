"""The peers' file: their prices of a fold, and the conversion of their log prices to rows."""

import numpy as np
import pandas as pd

from benchmarks.accuracy.peers.run import history_from, prices_of
from models.backtest.folds import WalkForward, walk_forward
from models.config import QUANTILES
from models.preprocessing.price_history import Panel
from tests.support.factories import make_frame

PANEL = Panel(
    (make_frame("AAA", 400, 1, holes=[310]), make_frame("GONE", 302, 2), make_frame("LATE", 400, 3).slice(305, 400))
)
GRID = PANEL.histories[0].sessions
(FOLD,), _ = walk_forward(PANEL, WalkForward(GRID[300], GRID[319], 20))


def test_a_peer_gets_three_sessions_after_the_fold_and_filled_holes() -> None:
    prices = prices_of(PANEL, FOLD)
    assert set(prices["symbol"]) == {"AAA"}  # one has ended, the other has no earlier prices
    assert (prices["row"].min(), prices["row"].max(), len(prices)) == (0, 322, 323)
    close = prices.set_index("row")["close"]
    assert close[310] == close[309] == PANEL.histories[0].close[309]


def test_log_prices_become_returns_from_as_of() -> None:
    close = PANEL.histories[0].close
    found = pd.DataFrame({"symbol": "AAA", "row": [305, 305, 305, 310, 310, 310], "step": [1, 2, 3] * 2})
    for index, level in enumerate(QUANTILES):
        found[f"q{level}"] = np.log(close[305]) + 0.01 * (index - 3) * found["step"]
    history = history_from(PANEL, FOLD, found)
    assert history.as_of.tolist() == [GRID[305].astype(object)]  # row 310 has no bar
    np.testing.assert_allclose(history.raw[0, 2], [-0.09, -0.06, -0.03, 0, 0.03, 0.06, 0.09], atol=1e-12)
    np.testing.assert_allclose(history.actual[0], np.log(close[306:309] / close[305]), rtol=1e-9)
