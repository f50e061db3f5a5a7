"""Breaks of a price history: held-back bars, and levels on both sides of them."""

from datetime import date

import numpy as np

from service.prices.quarantine.breaks import find_breaks

DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-01-07"))
NAN = float("nan")


def breaks(closes: list[float], *held: int) -> list[int]:
    found = find_breaks(DAYS[: len(closes)], np.array(closes), [date(2024, 1, 1 + row) for row in held])
    return [int((day - DAYS[0]).astype(int)) for day in found]


def test_a_held_bar_after_which_the_level_is_another_is_a_break() -> None:
    assert breaks([100, 101, NAN, 50, 51], 2) == [2]


def test_a_held_spike_is_no_break() -> None:
    assert breaks([100, 101, NAN, 102, 103], 2) == []
    # A fifth up or down (ln 1.22 = 0.199) is still one level; ln 1.23 = 0.207 is not.
    assert breaks([100, NAN, 122, 122], 1) == []
    assert breaks([100, NAN, 123, 123], 1) == [1]


def test_a_held_bar_without_a_later_close_is_a_break() -> None:
    assert breaks([100, 101, NAN], 2) == [2]
    assert breaks([100, 101, NAN, NAN], 2, 3) == [2, 3]


def test_several_held_bars_are_one_change_of_level() -> None:
    assert breaks([100, NAN, NAN, 50, 51], 1, 2) == [1, 2]
    assert breaks([2.0, NAN, NAN, 2.05, 2.04], 1, 2) == []


def test_a_bar_that_is_stored_after_all_is_no_break() -> None:
    assert breaks([100, 101, 50, 51], 2) == []


def test_without_held_bars_there_is_no_break() -> None:
    assert breaks([100, NAN, 50, 51]) == []
    assert find_breaks(DAYS[:0], np.empty(0), []).tolist() == []
