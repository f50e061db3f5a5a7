"""Folds: sizes, purges by date and by instant, and invalid requests."""

import numpy as np
import pytest

from models.backtest.folds import Fold, WalkForward, fold_between, fold_spans, union_grid, walk_forward
from models.errors import PriceHistoryError, TooLittleHistory
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from tests.support.factories import make_frame, make_panel, make_recipe

PANEL = make_panel(1400, seed=3)
DATES = PANEL.histories[0].sessions


def folds_from(first: int, last: int, refit: int, validation: int = 252) -> tuple[Fold, ...]:
    return walk_forward(PANEL, WalkForward(DATES[first], DATES[last], refit, validation))[0]


def test_both_dates_are_forecast_and_each_session_once() -> None:
    folds = folds_from(1100, 1399, 100)
    assert [fold.number for fold in folds] == [1, 2, 3]
    assert [fold.test for fold in folds] == [
        (DATES[1100], DATES[1199]),
        (DATES[1200], DATES[1299]),
        (DATES[1300], DATES[1399]),
    ]


def test_the_last_fold_ends_with_the_last_date() -> None:
    folds = folds_from(1100, 1250, 100)
    assert folds[-1].test == (DATES[1200], DATES[1250])


def test_dates_that_are_not_sessions_are_moved_inwards() -> None:
    saturday, sunday = np.datetime64("2004-05-01"), np.datetime64("2004-05-09")
    (fold,), _ = walk_forward(PANEL, WalkForward(saturday, sunday, 10))
    assert fold.test == (np.datetime64("2004-05-03"), np.datetime64("2004-05-07"))


def test_three_sessions_are_purged_between_train_validation_and_test() -> None:
    (fold,) = folds_from(1100, 1150, 60)
    assert fold.validation == (DATES[1100 - 3 - 252], DATES[1100 - 4])
    assert fold.train == (DATES[0], DATES[1100 - 3 - 252 - 4])


def test_instants_are_before_the_next_span_on_all_calendars() -> None:
    (fold,) = folds_from(1100, 1150, 60)
    new_york, tokyo = PANEL.histories[0], PANEL.histories[2]
    # New York's bar of the session before is final at 22:30, Tokyo's first as_of bar only the next day at 07:30
    assert fold.cut_at == new_york.final_at[1099] < tokyo.final_at[1100]
    assert fold.train_until == new_york.final_at[1100 - 3 - 252 - 1]


def test_a_network_is_trained_and_validated_on_what_is_final_before_the_first_as_of() -> None:
    (fold,) = folds_from(1200, 1250, 60)
    windows = cut_windows(PANEL, make_recipe(), require_targets=True)
    spans = fold_spans(windows, fold)
    assert windows.target_final_at[spans.validation].max() == spans.validation_until <= fold.cut_at
    assert fold.cut_at <= windows.final_at[windows.as_of >= fold.test[0]].min()
    assert windows.target_final_at[spans.train].max() == spans.train_until <= windows.final_at[spans.validation].min()
    assert windows.as_of[spans.validation].min() == fold.validation[0]
    assert windows.as_of[spans.train].max() == fold.train[1]
    assert not (spans.train & spans.validation).any()


def test_a_network_needs_a_thousand_dates() -> None:
    (fold,) = folds_from(1050, 1060, 60)
    windows = cut_windows(PANEL, make_recipe(), require_targets=True)
    # windows begin with the 80th bar: 1050 - 79 - 3 - 3 dates are left, of which the last validation window is final
    with pytest.raises(TooLittleHistory, match="965 distinct as_of dates"):
        fold_spans(windows, fold)


def test_folds_with_too_few_earlier_sessions_are_skipped_with_the_reason() -> None:
    folds, skipped = walk_forward(PANEL, WalkForward(DATES[100], DATES[399], 100, 252))
    assert [fold.number for fold in skipped] == [1, 2]
    assert "there are 100 sessions before" in skipped[0].reason
    assert "needs 259" in skipped[0].reason
    assert [fold.number for fold in folds] == [3]


def test_the_grid_is_the_union_of_symbols_that_start_and_end_midway() -> None:
    long, short = make_frame("LONG", 50, 1), make_frame("LATE", 80, 2).slice(40, 80)
    assert len(union_grid(Panel((long, short)))) == 80
    with pytest.raises(PriceHistoryError, match="without symbols"):
        union_grid(Panel(()))


def test_invalid_spans_and_dates_are_refused() -> None:
    with pytest.raises(ValueError, match="refit is 0 sessions"):
        WalkForward(DATES[0], DATES[1], 0)
    with pytest.raises(ValueError, match="swap them"):
        WalkForward(DATES[1], DATES[0], 5)
    with pytest.raises(TooLittleHistory, match="no session from 2050-01-01"):
        walk_forward(PANEL, WalkForward(np.datetime64("2050-01-01"), np.datetime64("2051-01-01"), 5))
    with pytest.raises(ValueError, match="must follow each other"):
        fold_between(PANEL, (DATES[0], DATES[9]), (DATES[9], DATES[19]), (DATES[20], DATES[29]))
