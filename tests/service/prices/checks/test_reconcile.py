"""Answers compared with stored bars."""

import numpy as np
import pytest

from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.checks.reconcile import Verdict, compare, new_splits, split_factors
from service.prices.checks.row_checks import Rows
from tests.support.fakes import JANUARY

STORED = [100.0, 102.0, 104.0, 103.0]


def rows(closes: list[float], first: int = 0) -> Rows:
    days = np.array(JANUARY[first : first + len(closes)], "datetime64[D]")
    close = np.array(closes)
    return Rows(days, np.column_stack([close, close, close, close, np.full(len(closes), 1000.0)]))


def split(row: int, value: float) -> Action:
    return Action(JANUARY[row], ActionKind.SPLIT, value)


def test_equal_bars_are_on_the_same_basis() -> None:
    found = compare(rows(STORED), rows([*STORED[1:], 99.0], 1), ())
    assert (found.verdict, found.stored.tolist(), found.answered.tolist()) == (Verdict.SAME_BASIS, [1, 2, 3], [0, 1, 2])
    assert found.changed.tolist() == [False] * 3


def test_an_answer_without_common_sessions_is_not_suspect() -> None:
    assert compare(rows(STORED), rows([99.0], 4), ()).verdict is Verdict.SAME_BASIS


def test_one_different_bar_is_a_correction() -> None:
    found = compare(rows(STORED), rows([100.0, 102.03, 104.01, 103.0]), ())
    assert found.changed.tolist() == [False, True, False, False]  # 104.01 is within 1e-4
    assert compare(rows([100.0]), rows([101.0]), ()).verdict is Verdict.SAME_BASIS


@pytest.mark.parametrize("ratio", [0.5, 0.98, 1.003])
def test_one_ratio_of_all_bars_is_suspect(ratio: float) -> None:
    assert compare(rows(STORED), rows([close * ratio for close in STORED]), ()).verdict is Verdict.SUSPECT


def test_a_bar_with_a_ratio_of_a_hundred_is_in_another_unit() -> None:
    found = compare(rows(STORED), rows([100.0, 102.0, 1.04, 103.0]), ())
    assert found.verdict is Verdict.SUSPECT
    assert "currency unit" in found.reason


def test_a_split_within_the_overlap_is_a_rebase() -> None:
    found = compare(rows([100.0, 102.0, 52.0, 51.5]), rows([50.0, 51.0, 52.0, 51.5]), [split(2, 2.0)])
    assert found.verdict is Verdict.REBASED


def test_a_split_without_its_ratio_is_suspect() -> None:
    found = compare(rows(STORED), rows(STORED), [split(4, 2.0)])
    assert (found.verdict, "2:1 of 2024-01-08" in found.reason) == (Verdict.SUSPECT, True)


def test_a_split_with_another_ratio_is_suspect() -> None:
    assert compare(rows(STORED), rows([close / 3 for close in STORED]), [split(4, 2.0)]).verdict is Verdict.SUSPECT


def test_a_split_with_one_bar_too_far_off_is_suspect() -> None:
    answered = [50.0, 51.0, 104.0, 51.5]
    assert compare(rows(STORED), rows(answered), [split(4, 2.0)]).verdict is Verdict.SUSPECT


def test_only_splits_that_are_not_stored_are_new() -> None:
    dividend = Action(JANUARY[3], ActionKind.DIVIDEND, 2.0)
    assert new_splits([split(1, 2.0)], [split(1, 2.0), split(2, 3.0), dividend]) == (split(2, 3.0),)
    assert new_splits([split(1, 2.0)], [split(1, 3.0)]) == (split(1, 1.5),)


def test_factors_are_the_product_of_later_splits() -> None:
    assert split_factors(rows(STORED), [split(1, 2.0), split(3, 5.0)]).tolist() == [10.0, 5.0, 5.0, 1.0]


WALK = [100.0, 102.0, 101.0, 103.0, 106.0, 104.0, 105.0, 107.0]


@pytest.mark.parametrize("answer", [[*WALK[1:], 108.0], [99.0, *WALK[:-1]]])
def test_dates_one_session_off_are_suspect(answer: list[float]) -> None:
    found = compare(rows(WALK), rows(answer), ())
    assert (found.verdict, "one session off" in found.reason) == (Verdict.SUSPECT, True)


def test_many_corrections_are_not_a_shift() -> None:
    changed = [close + place % 3 for place, close in enumerate(WALK)]
    assert compare(rows(WALK), rows(changed), ()).verdict is Verdict.SAME_BASIS
    assert compare(rows(WALK[:4]), rows(WALK[1:5]), ()).verdict is Verdict.SAME_BASIS, "three neighbours are too few"
