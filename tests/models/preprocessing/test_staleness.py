"""Stale symbols: closes that repeat without volume."""

from dataclasses import replace

import numpy as np
import pytest

from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel, PriceHistory
from models.preprocessing.staleness import is_stale, stale_reason
from tests.support.factories import frame_of_closes, make_frame, make_recipe


def frozen(frame: PriceHistory, first: int, volume: float = 0.0) -> PriceHistory:
    """The history with the close of `first` repeated to its end."""
    close, volumes = frame.close.copy(), frame.volume.copy()
    close[first:] = close[first]
    volumes[first:] = volume
    return replace(frame, close=close, volume=volumes)


def test_a_symbol_is_stale_when_more_than_half_of_its_newest_bars_are() -> None:
    history = frozen(make_frame("AAA", 60, 1), 30)
    # Row 31 is the first repeated close; among the 20 newest bars up to row 41 there are 11.
    assert np.flatnonzero(is_stale(history)).tolist() == list(range(41, 60))
    assert stale_reason(history.until(41)) is None
    assert stale_reason(history.until(42)) == (
        "11 of its last 20 bars up to 2000-02-29 repeat the close before without volume; "
        "a network needs a symbol that trades"
    )


@pytest.mark.parametrize("volume", [0.0, float("nan")])
def test_no_volume_and_unknown_volume_are_the_same(volume: float) -> None:
    assert bool(is_stale(frozen(make_frame("AAA", 60, 1), 30, volume))[-1])


def test_a_price_that_does_not_move_while_shares_change_hands_is_not_stale() -> None:
    assert not is_stale(frame_of_closes(np.full(60, 10.0))).any()


def test_an_index_without_volume_whose_closes_move_is_not_stale() -> None:
    history = make_frame("^VIX", 60, 1)
    assert not is_stale(replace(history, volume=np.zeros(60))).any()


def test_holes_are_not_counted() -> None:
    history = frozen(make_frame("AAA", 60, 1), 30)
    close = history.close.copy()
    close[40:] = np.nan
    assert not is_stale(replace(history, close=close))[59]
    assert stale_reason(history.slice(0, 0)) is None


def test_what_comes_later_changes_no_earlier_session() -> None:
    history = frozen(make_frame("AAA", 90, 2), 40)
    for stop in (35, 51, 52, 70):
        assert is_stale(history.until(stop)).tolist() == is_stale(history)[:stop].tolist()


def test_a_network_neither_learns_from_a_stale_symbol_nor_forecasts_it() -> None:
    lively, stale = make_frame("AAA", 320, 1), frozen(make_frame("BBB", 320, 2), 290)
    panel = Panel((lively, stale))
    pipeline = Pipeline.fit(panel, make_recipe(references=()), lively.final_at[-1])
    newest, skipped = pipeline.newest(panel)
    assert newest.symbol_index.tolist() == [0]
    assert [(each.symbol, each.reason[:24]) for each in skipped] == [("BBB", "20 of its last 20 bars u")]
    windows = pipeline.windows(panel, require_targets=False)
    assert windows.as_of[windows.symbol_index == 0].max() == lively.sessions[-1]
    # Up to row 300 at most ten of twenty bars repeat the close.
    assert windows.as_of[windows.symbol_index == 1].max() == stale.sessions[300]
