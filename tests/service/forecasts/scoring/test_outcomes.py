"""Outcomes of forecasts: the expected figures were calculated on paper, without this code."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from math import log
from typing import Any

import numpy as np
import pytest

from service.forecasts.scoring.outcomes import CalendarView, Closes, PendingForecast, decide_outcomes
from service.prices.adjustment.corporate_actions import Action, ActionKind

AS_OF, T = date(2018, 5, 31), date(2018, 6, 1)
PENDING = PendingForecast(
    7, "AAA", AS_OF, T, 1, 1, 1, (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06), 0, None, None, served=True
)
NO_LATER = CalendarView({T: 0}, frozenset())
LOG_101 = 0.009950330853168083
"""ln 1.01."""
PINBALL_101 = 0.0037107379180834
"""Of ln 1.01: a seventh of .025 * .06995 + .1 * .04995 + .25 * .02995 + .5 * .00995 + .25 * .01005 + .1 * .03005
+ .025 * .05005."""


def closes(as_of: float, target: float, *actions: Action, revisions: Sequence[int] = (1, 1)) -> Closes:
    return Closes(
        np.array([AS_OF, T], "datetime64[D]"),
        np.array([as_of, target]),
        np.array(revisions, np.int64),
        actions,
        tuple(range(1, len(actions) + 1)),
    )


def outcome(
    stored: Closes | None, pending: PendingForecast = PENDING, view: CalendarView = NO_LATER
) -> dict[str, Any] | None:
    rows = decide_outcomes([pending], {} if stored is None else {"AAA": stored}, view)
    assert len(rows) <= 1
    return rows[0] if rows else None


def actual_of(stored: Closes, pending: PendingForecast = PENDING) -> float:
    row = outcome(stored, pending)
    assert row is not None
    assert row["state"] == "scored"
    return float(row["actual"])


def dividend(day: date, value: float) -> Action:
    return Action(day, ActionKind.DIVIDEND, value)


def test_the_scores_of_a_rise_of_one_percent() -> None:
    row = outcome(closes(100.0, 101.0))
    assert row is not None
    assert (row["forecast_id"], row["revision"], row["state"], row["reason"], row["bars_revision"]) == (
        7, 1, "scored", None, 2,
    )  # fmt: skip
    assert row["actual"] == pytest.approx(LOG_101, abs=1e-15)
    assert row["pinball"] == pytest.approx(PINBALL_101, abs=1e-15)
    assert row["error"] == pytest.approx(LOG_101, abs=1e-15)
    assert (row["inside_50"], row["inside_80"], row["inside_95"]) == (True, True, True)


def test_the_error_is_actual_less_median() -> None:
    shifted = replace(PENDING, quantiles=(-0.05, -0.03, -0.01, 0.01, 0.03, 0.05, 0.07))
    row = outcome(closes(100.0, 95.0), shifted)
    assert row is not None
    assert row["error"] == pytest.approx(-0.06129329438755058, abs=1e-15)  # ln .95 = -.0513, less .01


@pytest.mark.parametrize(
    ("actual", "inside"),
    [
        (0.0, (True, True, True)),
        (0.0199, (True, True, True)),
        (-0.0201, (False, True, True)),
        (0.0399, (False, True, True)),
        (-0.0401, (False, False, True)),
        (0.0599, (False, False, True)),
        (-0.0601, (False, False, False)),
        (0.0601, (False, False, False)),
    ],
)
def test_the_inside_flags_follow_the_intervals(actual: float, inside: tuple[bool, bool, bool]) -> None:
    row = outcome(closes(100.0, 100.0 * float(np.exp(actual))))
    assert row is not None
    assert (row["inside_50"], row["inside_80"], row["inside_95"]) == inside


def test_the_bounds_belong_to_the_interval() -> None:
    row = outcome(closes(100.0, 100.0), replace(PENDING, quantiles=(-0.06, -0.04, 0.0, 0.0, 0.0, 0.04, 0.06)))
    assert row is not None
    assert row["inside_50"] is True


def test_a_split_between_as_of_and_target_changes_no_return() -> None:
    split = Action(T, ActionKind.SPLIT, 2.0)
    assert actual_of(closes(50.0, 50.5, split)) == pytest.approx(LOG_101, abs=1e-15)


def test_a_dividend_between_as_of_and_target_is_part_of_the_return() -> None:
    # 100 less 2 is a base of 98; the target closes at 99: ln(99/98).
    assert actual_of(closes(100.0, 99.0, dividend(T, 2.0))) == pytest.approx(0.010152371464017908, abs=1e-14)


def test_a_dividend_and_a_split_between_as_of_and_target_both_count() -> None:
    # Both closes on the new basis of 2:1: 50 less 1 is a base of 49, the target closes at 49.5: ln(99/98).
    both = (Action(T, ActionKind.SPLIT, 2.0), dividend(T, 1.0))
    assert actual_of(closes(50.0, 49.5, *both)) == pytest.approx(0.010152371464017908, abs=1e-14)


@pytest.mark.parametrize("day", [AS_OF, date(2018, 6, 4)])
def test_a_dividend_outside_the_step_does_not_count(day: date) -> None:
    assert actual_of(closes(100.0, 101.0, dividend(day, 2.0))) == pytest.approx(LOG_101, abs=1e-14)


def test_an_adjustment_factor_counts_like_a_dividend() -> None:
    factor = Action(T, ActionKind.FACTOR, 0.98)
    assert actual_of(closes(100.0, 99.0, factor)) == pytest.approx(0.010152371464017908, abs=1e-14)


def scored(actual: float = LOG_101) -> PendingForecast:
    return replace(PENDING, score_revision=1, score_state="scored", actual=actual)


def test_an_unchanged_score_gets_no_revision() -> None:
    assert outcome(closes(100.0, 101.0), scored()) is None


@pytest.mark.parametrize("revisions", [(2, 1), (1, 2)])
def test_a_corrected_close_gives_a_new_revision(revisions: tuple[int, int]) -> None:
    row = outcome(closes(100.0, 105.0, revisions=revisions), scored())
    assert row is not None
    assert (row["revision"], row["state"], row["bars_revision"]) == (2, "scored", 3)
    assert row["actual"] == pytest.approx(0.04879016416943205, abs=1e-15)  # ln 1.05


def test_a_corrected_volume_gives_no_revision() -> None:
    assert outcome(closes(100.0, 101.0, revisions=(1, 2)), scored()) is None


def test_a_late_dividend_gives_a_new_revision() -> None:
    row = outcome(closes(100.0, 101.0, dividend(T, 2.0)), scored())
    assert row is not None
    assert (row["revision"], row["bars_revision"], row["actions_revision"]) == (2, 2, 1)
    assert row["actual"] == pytest.approx(log(101 / 98), abs=1e-14)


def test_a_later_dividend_shifts_both_closes_and_changes_nothing() -> None:
    three = Closes(
        np.array([AS_OF, T, date(2018, 6, 4)], "datetime64[D]"),
        np.array([100.0, 101.0, 99.0]),
        np.array([1, 1, 1], np.int64),
        (dividend(date(2018, 6, 4), 1.7),),
        (1,),
    )
    assert outcome(three, scored()) is None


def test_the_actions_revision_covers_actions_after_as_of_up_to_the_target() -> None:
    actions = [dividend(AS_OF, 1.0), dividend(T, 2.0), dividend(date(2018, 6, 4), 3.0)]  # revisions 1, 2 and 3
    row = outcome(closes(100.0, 101.0, *actions))
    assert row is not None
    assert row["actions_revision"] == 2


def only_as_of() -> Closes:
    return Closes(np.array([AS_OF], "datetime64[D]"), np.array([100.0]), np.array([1], np.int64), (), ())


@pytest.mark.parametrize("stored", [None, only_as_of()])
def test_without_a_bar_it_waits_four_sessions_and_is_void_after_five(stored: Closes | None) -> None:
    assert outcome(stored, view=CalendarView({T: 4}, frozenset())) is None
    row = outcome(stored, view=CalendarView({T: 5}, frozenset()))
    assert row == {
        "forecast_id": 7,
        "revision": 1,
        "state": "void",
        "reason": "no bar of 2018-06-01 (or of 2018-05-31) arrived within 5 sessions",
        "bars_revision": None,
        "actions_revision": None,
        "actual": None,
        "pinball": None,
        "error": None,
        "inside_50": None,
        "inside_80": None,
        "inside_95": None,
    }


def test_an_unscheduled_closure_is_void_immediately() -> None:
    row = outcome(only_as_of(), view=CalendarView({T: 0}, frozenset({T})))
    assert row is not None
    assert (row["state"], row["reason"]) == ("void", "session 2018-06-01 was closed")


VOID = replace(PENDING, score_revision=1, score_state="void")


def test_a_void_outcome_is_recorded_once() -> None:
    assert outcome(only_as_of(), VOID, CalendarView({T: 9}, frozenset())) is None


def test_a_late_bar_turns_void_into_scored() -> None:
    row = outcome(closes(100.0, 101.0), VOID, CalendarView({T: 9}, frozenset()))
    assert row is not None
    assert (row["revision"], row["state"]) == (2, "scored")


def test_a_score_stays_if_its_bar_was_removed() -> None:
    assert outcome(only_as_of(), scored(), CalendarView({T: 9}, frozenset())) is None


def test_each_forecast_has_its_own_outcome() -> None:
    other = replace(PENDING, id=8, symbol="BBB")
    rows = decide_outcomes([PENDING, other], {"AAA": closes(100.0, 101.0)}, NO_LATER)
    assert [row["forecast_id"] for row in rows] == [7]


T1, T2 = date(2018, 6, 4), date(2018, 6, 5)
LATER = CalendarView({T: 9, T1: 9, T2: 9}, frozenset())
BREAK_REASON = "unresolved break: the close of 2018-06-01 is held back, see `tplus quarantine list`"


def over(closes_after: float, held: tuple[date, ...] = (T,), rejected: tuple[date, ...] = ()) -> Closes:
    """100 at as_of, no bar of T, then closes of T+1 and T+2."""
    days = np.array([AS_OF, T1, T2], "datetime64[D]")
    prices = np.array([100.0, closes_after, closes_after])
    return Closes(days, prices, np.ones(3, np.int64), (), (), held, rejected)


@pytest.mark.parametrize("target", [T, T1, T2])
def test_no_outcome_spans_an_unresolved_break(target: date) -> None:
    """An uncoded split of 2:1 on T: T+1 was -0.688 (50.25 of 100), far outside of every interval."""
    row = outcome(over(50.25), replace(PENDING, target_session=target), LATER)
    assert row is not None
    assert (row["state"], row["reason"], row["actual"], row["inside_95"]) == ("pending", BREAK_REASON, None, None)


def test_an_unresolved_break_is_recorded_once() -> None:
    known = replace(PENDING, target_session=T1, score_revision=1, score_state="pending")
    assert outcome(over(50.25), known, LATER) is None


def test_a_score_over_a_break_that_was_found_later_is_taken_back() -> None:
    row = outcome(over(50.25), replace(scored(-0.688), target_session=T1), LATER)
    assert row is not None
    assert (row["revision"], row["state"], row["actual"]) == (2, "pending", None)


def test_a_settled_break_is_scored() -> None:
    known = replace(PENDING, target_session=T1, score_revision=1, score_state="pending")
    row = outcome(over(101.0, held=()), known, LATER)
    assert row is not None
    assert (row["revision"], row["state"]) == (2, "scored")
    assert row["actual"] == pytest.approx(LOG_101, abs=1e-15)


@pytest.mark.parametrize("target", [T, T1])
def test_a_rejected_bar_makes_outcomes_over_it_void(target: date) -> None:
    known = replace(PENDING, target_session=target, score_revision=1, score_state="pending")
    row = outcome(over(50.25, held=(), rejected=(T,)), known, LATER)
    assert row is not None
    assert (row["state"], row["reason"]) == ("void", "the close of 2018-06-01 was rejected by a person")


def test_over_a_held_spike_the_later_steps_are_scored() -> None:
    """The closes on both sides are on one level: only the spike's own session waits."""
    row = outcome(over(101.0), replace(PENDING, target_session=T1), LATER)
    assert row is not None
    assert (row["state"], row["actual"]) == ("scored", pytest.approx(LOG_101, abs=1e-15))
    own = outcome(over(101.0), PENDING, LATER)
    assert own is not None
    assert (own["state"], own["reason"]) == ("pending", BREAK_REASON)


def test_a_break_before_as_of_or_after_the_target_changes_nothing() -> None:
    days = np.array([AS_OF, T, T2], "datetime64[D]")
    held = Closes(days, np.array([100.0, 101.0, 50.0]), np.ones(3, np.int64), (), (), (date(2018, 5, 30), T1))
    row = outcome(held, PENDING, LATER)
    assert row is not None
    assert (row["state"], row["actual"]) == ("scored", pytest.approx(LOG_101, abs=1e-15))
