"""Suspect and missing actions; ex-dates and closes are written out."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.checks.action_checks import (
    AnsweredSpan,
    find_suspect_actions,
    key_of,
    lacks_most,
    missing_actions,
)
from service.prices.checks.row_checks import Rows

DAYS = [date(2018, 11, day) for day in (8, 9, 12, 13, 14, 15, 16)]
EX = date(2018, 11, 14)


def rows(closes: dict[date, float]) -> Rows:
    values = np.full((len(closes), 5), 1000.0)
    values[:, 3] = list(closes.values())
    return Rows(np.array(list(closes), "datetime64[D]"), values)


def level(*days: date) -> Rows:
    return rows(dict.fromkeys(days or DAYS, 100.0))


def dividend(value: float, day: date = EX) -> Action:
    return Action(day, ActionKind.DIVIDEND, value)


def suspects(value: float, close: float, *stored: Action) -> list[str]:
    closes = {day: 100.0 if day < EX else close for day in DAYS}
    return [suspect.reason for suspect in find_suspect_actions([dividend(value)], stored, rows(closes), {})]


@pytest.mark.parametrize(
    ("value", "close", "is_suspect"),
    [
        (5.0, 100.0, False),  # not above 5 %
        (5.1, 100.0, True),
        (5.1, 97.4, False),  # it fell by 2.6, more than half
        (5.1, 97.5, True),
        (30.0, 85.5, True),
        (30.0, 84.5, False),
        (30.0, 60.0, False),
    ],
)
def test_a_large_dividend_must_show_in_the_price(value: float, close: float, is_suspect: bool) -> None:
    assert bool(suspects(value, close)) == is_suspect


QUARTERS = tuple(dividend(0.02, date(2018, month, 14)) for month in (2, 5, 8))


@pytest.mark.parametrize(("value", "is_suspect"), [(0.99, False), (1.0, True), (4.0, True)])
def test_fifty_times_the_median_is_suspect(value: float, is_suspect: bool) -> None:
    assert bool(suspects(value, 100.0, *QUARTERS)) == is_suspect


def test_a_large_dividend_that_shows_in_the_price_is_real_however_rare() -> None:
    assert suspects(12.0, 88.5, *QUARTERS) == []


def test_the_reason_names_the_figures() -> None:
    assert suspects(2.0, 100.0, *QUARTERS) == [
        "suspect: the dividend of 2 with ex-date 2018-11-14 is 100 times the median of the three years before it"
    ]
    assert suspects(32.0, 99.25) == [
        "suspect: the dividend of 32 with ex-date 2018-11-14 is 32.0% of the close, which went from 100 to 99.25"
    ]


def test_dividends_of_decades_ago_are_no_measure() -> None:
    assert suspects(0.5, 100.0, dividend(0.0005, date(1995, 11, 14)), dividend(0.0006, date(1996, 2, 14))) == []


def test_a_suspect_is_no_measure_for_later_ones() -> None:
    answered = [dividend(0.02, DAYS[1]), dividend(2.0, DAYS[2]), dividend(1.5, EX)]
    found = find_suspect_actions(answered, (), level(), {})
    assert [suspect.action.value for suspect in found] == [2.0, 1.5]


def test_without_a_bar_on_both_sides_it_is_not_checked() -> None:
    assert find_suspect_actions([dividend(30.0)], (), level(*DAYS[:4]), {}) == ()
    assert find_suspect_actions([dividend(30.0)], (), level(*DAYS[4:]), {}) == ()
    assert len(find_suspect_actions([dividend(30.0)], (), level(DAYS[3], DAYS[5]), {})) == 1


def test_only_the_share_that_a_person_accepted_is_accepted() -> None:
    assert find_suspect_actions([dividend(30.0)], (), level(), {EX: (0.3,)}) == ()
    assert len(find_suspect_actions([dividend(30.0)], (), level(), {EX: (0.4,)})) == 1
    assert len(find_suspect_actions([dividend(30.0)], (), level(), {DAYS[3]: (0.3,)})) == 1


def test_splits_and_factors_are_not_suspect() -> None:
    others = [Action(EX, ActionKind.SPLIT, 20.0), Action(EX, ActionKind.FACTOR, 0.5)]
    assert find_suspect_actions(others, (), level(), {}) == ()


@pytest.mark.parametrize(
    ("answered", "is_missing"),
    [
        (DAYS, True),
        (DAYS[3:], True),  # from the session before on
        (DAYS[4:], False),  # begins on the ex-date
        (DAYS[:5], True),  # ends on it
        (DAYS[:4], False),
        (DAYS[5:], False),
        ([DAYS[3], DAYS[5]], False),  # lacks the bar of the ex-date
        ([], False),
    ],
)
def test_an_action_is_missing_if_the_answer_reaches_over_it(answered: list[date], is_missing: bool) -> None:
    span = AnsweredSpan(level(*answered) if answered else rows({}), level())
    assert bool(missing_actions([dividend(1.0)], set(), span)) == is_missing
    assert missing_actions([dividend(1.0)], {(EX, ActionKind.DIVIDEND)}, span) == ()


def test_an_ex_date_without_a_session_is_covered_by_the_bars_around_it() -> None:
    saturday = dividend(1.0, date(2018, 11, 10))
    assert missing_actions([saturday], set(), AnsweredSpan(level(), level())) == (saturday,)


@pytest.mark.parametrize(("gone", "expected"), [(2, False), (3, True), (4, True)])
def test_an_answer_without_most_actions_is_doubtful(gone: int, expected: bool) -> None:
    stored = [dividend(1.0, day) for day in DAYS[2:6]]
    assert lacks_most(stored, stored[:gone], AnsweredSpan(level(), level())) == expected
    assert not lacks_most(stored[:3], stored[:3], AnsweredSpan(level(), level()))


@given(
    st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30))
)
def test_only_answered_dates_lose_actions(
    stored: set[int], bars: set[int], answered_bars: set[int], answered: set[int]
) -> None:
    def day(number: int) -> date:
        return EX + timedelta(days=number)

    span = AnsweredSpan(rows({day(n): 1.0 for n in sorted(answered_bars)}), rows({day(n): 1.0 for n in sorted(bars)}))
    known = [dividend(1.0, day(n)) for n in sorted(stored)]
    missing = missing_actions(known, {key_of(dividend(1.0, day(n))) for n in answered}, span)
    for action in missing:
        assert min(map(day, answered_bars)) < action.ex_date <= max(map(day, answered_bars))
        assert action.ex_date not in map(day, answered)
        assert action.ex_date in map(day, answered_bars) or action.ex_date not in map(day, bars)
    assert set(missing) <= set(known)
