"""Runs that are due: literal sessions and instants of real exchanges."""

from datetime import UTC, date, datetime

import pytest

from service.market.calendars import Calendars
from service.runs import PlannedRun
from service.scheduler.due import (
    CalendarView,
    GroupView,
    MarketEvent,
    due_sessions,
    due_trainings,
    fast_until,
    next_event,
)
from service.settings import Settings


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def calendars() -> Calendars:
    return Calendars(Settings(), at("2024-12-31T00:00"))


def view(last_pull: str | None, calendar: str = "XNYS", **values: object) -> CalendarView:
    stored = None if last_pull is None else at(last_pull)
    return CalendarView(calendar, True, False, stored, **values)  # type: ignore[arg-type]


def keys(planned: list[PlannedRun]) -> list[tuple[str, str, str]]:
    """Return job, session and `superseded` or `due` of each run."""
    return [(run.job, str(run.session), "superseded" if run.superseded else "due") for run in planned]


ALL_DUE = ("pull", "score", "forecast")


def test_at_first_start_only_the_newest_final_session_is_due(calendars: Calendars) -> None:
    planned = due_sessions(calendars, view(None), at("2024-03-06T22:30"))
    assert keys(planned) == [(job, "2024-03-06", "due") for job in ALL_DUE]
    assert {run.scheduled_for for run in planned} == {at("2024-03-06T22:30")}


def test_a_minute_before_the_final_instant_the_day_before_is_the_newest(calendars: Calendars) -> None:
    assert keys(due_sessions(calendars, view(None), at("2024-03-06T22:29"))) == [
        (job, "2024-03-05", "due") for job in ALL_DUE
    ]


def test_nothing_is_due_between_friday_evening_and_monday_evening(calendars: Calendars) -> None:
    friday = view("2024-03-01T22:30")
    assert due_sessions(calendars, friday, at("2024-03-04T22:29")) == []
    assert keys(due_sessions(calendars, friday, at("2024-03-04T22:30")))[0] == ("pull", "2024-03-04", "due")


@pytest.mark.parametrize(
    ("session", "instant"),
    [
        ("2024-11-29", "2024-11-29T19:30"),  # the half day after Thanksgiving closes at 18:00Z
        ("2024-03-08", "2024-03-08T22:30"),  # winter time: close at 21:00Z
        ("2024-03-11", "2024-03-11T21:30"),  # summer time since Sunday: close at 20:00Z
    ],
)
def test_due_instants_follow_half_days_and_summer_time(calendars: Calendars, session: str, instant: str) -> None:
    planned = due_sessions(calendars, view(None), at(instant))
    assert {(str(run.session), run.scheduled_for) for run in planned} == {(session, at(instant))}


def test_a_holiday_is_not_due(calendars: Calendars) -> None:
    assert due_sessions(calendars, view("2024-07-03T18:30"), at("2024-07-05T21:29")) == []


def test_missed_sessions_get_a_forecast_each_and_their_pulls_are_superseded(calendars: Calendars) -> None:
    planned = due_sessions(calendars, view("2024-03-01T22:30"), at("2024-03-06T23:00"))
    assert keys(planned) == [
        ("pull", "2024-03-04", "superseded"), ("score", "2024-03-04", "superseded"), ("forecast", "2024-03-04", "due"),
        ("pull", "2024-03-05", "superseded"), ("score", "2024-03-05", "superseded"), ("forecast", "2024-03-05", "due"),
        ("pull", "2024-03-06", "due"), ("score", "2024-03-06", "due"), ("forecast", "2024-03-06", "due"),
    ]  # fmt: skip


def test_a_calendar_with_reference_series_only_is_pulled_only(calendars: Calendars) -> None:
    only = CalendarView("XNYS", has_active=False, has_new=True, last_pull=None)
    assert keys(due_sessions(calendars, only, at("2024-03-06T23:00"))) == [("pull", "2024-03-06", "due")]


def test_a_new_symbol_on_a_pulled_calendar_gets_a_further_sequence(calendars: Calendars) -> None:
    grown = CalendarView("XNYS", True, True, at("2024-03-06T22:30"), last_sequence=1)
    planned = due_sessions(calendars, grown, at("2024-03-07T02:00"))
    assert [(run.job, str(run.session), run.sequence) for run in planned] == [
        ("pull", "2024-03-06", 2),
        ("forecast", "2024-03-06", 2),
    ]


def test_no_further_sequence_while_a_pull_is_open(calendars: Calendars) -> None:
    grown = CalendarView("XNYS", True, True, at("2024-03-06T22:30"), last_sequence=0, pull_open=True)
    assert due_sessions(calendars, grown, at("2024-03-07T02:00")) == []


def test_a_continuous_calendar_settles_an_hour_after_midnight_also_at_the_weekend(calendars: Calendars) -> None:
    saturday = due_sessions(calendars, view(None, "24/7"), at("2024-03-10T01:00"))
    assert {(str(run.session), run.scheduled_for) for run in saturday} == {("2024-03-09", at("2024-03-10T01:00"))}


def group(last: str | None, *calendars: str, lacks: bool = False) -> GroupView:
    return GroupView("equity", calendars or ("XNYS",), None if last is None else at(last), lacks)


@pytest.mark.parametrize(
    ("last", "now", "sessions"),
    [
        (None, "2024-03-06T23:00", ["2024-03-06"]),
        ("2024-02-28T22:30", "2024-03-06T22:29", []),
        ("2024-02-28T22:30", "2024-03-06T22:30", ["2024-03-06"]),
        ("2024-03-06T22:30", "2024-03-12T21:30", []),
        ("2024-03-06T22:30", "2024-03-13T21:30", ["2024-03-13"]),  # an hour short of seven days: summer time has begun
    ],
)
def test_trainings_are_due_at_first_start_and_weekly(
    calendars: Calendars, last: str | None, now: str, sessions: list[str]
) -> None:
    assert [str(run.session) for run in due_trainings(calendars, [group(last)], at(now), 5)] == sessions


def test_a_group_with_enough_history_is_trained_at_its_next_instant(calendars: Calendars) -> None:
    planned = due_trainings(calendars, [group("2024-03-05T22:30", lacks=True)], at("2024-03-06T22:30"), 5)
    assert [(run.scope, run.scheduled_for) for run in planned] == [("equity", at("2024-03-06T22:30"))]
    assert due_trainings(calendars, [group("2024-03-06T22:30", lacks=True)], at("2024-03-06T23:00"), 5) == []


def test_a_group_on_two_calendars_is_trained_at_the_later_instant(calendars: Calendars) -> None:
    planned = due_trainings(calendars, [group(None, "XNYS", "XTKS")], at("2024-03-07T08:00"), 5)
    assert [(run.scheduled_for, run.session) for run in planned] == [(at("2024-03-07T07:30"), date(2024, 3, 7))]


@pytest.mark.parametrize(
    ("last", "now", "every", "due"),
    [
        ("2024-03-06T22:30", "2024-03-07T22:30", 1, True),
        ("2024-03-06T22:30", "2024-03-07T22:29", 1, False),
        # 20 sessions after Wednesday 2024-03-06, Good Friday left out: Thursday 2024-04-04 (summer time, 21:30 UTC).
        ("2024-03-06T22:30", "2024-04-04T21:29", 20, False),
        ("2024-03-06T22:30", "2024-04-04T21:30", 20, True),
        ("2014-03-06T22:30", "2024-03-06T22:30", 252, True),  # off for ten years
    ],
)
def test_trainings_are_due_after_the_set_number_of_sessions(
    calendars: Calendars, last: str, now: str, every: int, due: bool
) -> None:
    assert bool(due_trainings(calendars, [group(last)], at(now), every)) is due


def test_the_calendar_with_most_sessions_counts(calendars: Calendars) -> None:
    both = group("2024-03-06T22:30", "XNYS", "24/7")
    # The fifth day after Wednesday's session is Monday, whose bar of 24/7 is final on Tuesday at 01:00.
    assert due_trainings(calendars, [both], at("2024-03-12T00:59"), 5) == []
    assert len(due_trainings(calendars, [both], at("2024-03-12T01:00"), 5)) == 1


def test_the_same_day_on_another_calendar_is_not_a_session_later(calendars: Calendars) -> None:
    both = group("2024-03-04T07:30", "XNYS", "XTKS")  # after Tokyo's Monday, before New York's
    assert due_trainings(calendars, [both], at("2024-03-08T22:30"), 5) == []
    assert len(due_trainings(calendars, [both], at("2024-03-11T07:30"), 5)) == 1


def test_a_fast_start_ends_with_the_last_of_its_sessions(calendars: Calendars) -> None:
    start = at("2024-03-01T00:00")  # a Friday: its own session is the first
    assert fast_until(calendars, ["XNYS"], start, 3) == at("2024-03-05T22:30")
    assert fast_until(calendars, ["XNYS"], at("2024-03-01T22:30"), 3) == at("2024-03-06T22:30")
    assert fast_until(calendars, ["24/7", "XNYS"], start, 3) == at("2024-03-05T22:30")
    assert fast_until(calendars, ["XNYS"], start, 0) == start
    assert fast_until(calendars, [], start, 3) == start


EVENTS_OF_A_WEEKEND = [
    ("2024-03-01T22:30", "2024-03-02T00:00", 2),  # Friday's XNYS is final; Saturday opens on 24/7
    ("2024-03-02T00:00", "2024-03-02T01:00", 2),  # Friday's day is final
    ("2024-03-02T01:00", "2024-03-03T00:00", 2),
    ("2024-03-03T01:00", "2024-03-04T00:00", 4),  # Monday has two of each
    ("2024-03-04T01:00", "2024-03-04T14:30", 4),
    ("2024-03-04T14:30", "2024-03-04T22:30", 4),
]


@pytest.mark.parametrize(("now", "expected", "that_day"), EVENTS_OF_A_WEEKEND)
def test_next_event_with_a_continuous_calendar(calendars: Calendars, now: str, expected: str, that_day: int) -> None:
    assert next_event(calendars, ("24/7", "XNYS"), at(now), None) == MarketEvent(at(expected), that_day)


def test_next_event_over_a_weekend_and_a_holiday(calendars: Calendars) -> None:
    assert next_event(calendars, ("XNYS",), at("2024-03-28T21:30"), None) == MarketEvent(at("2024-04-01T13:30"), 2)


def test_the_record_ends_with_its_last_session(calendars: Calendars) -> None:
    last = date(2024, 3, 6)
    assert next_event(calendars, ("XNYS",), at("2024-03-06T14:30"), last) == MarketEvent(at("2024-03-06T22:30"), 2)
    assert next_event(calendars, ("XNYS",), at("2024-03-06T22:30"), last) is None


def test_without_calendars_there_is_no_event(calendars: Calendars) -> None:
    assert next_event(calendars, (), at("2024-03-06T14:30"), None) is None
