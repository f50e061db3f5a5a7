"""Calendars against facts of the exchanges, written out by hand."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from service.errors import CalendarError
from service.market.exchange_calendar import MarketCalendar, get_calendar

NEW_YORK = get_calendar("XNYS", date(2017, 1, 1), date(2026, 12, 31))
SETTLE = timedelta(minutes=90)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("session", "opens", "closes"),
    [
        (date(2018, 12, 24), "2018-12-24 14:30", "2018-12-24 18:00"),  # Christmas Eve, half a day
        (date(2018, 11, 23), "2018-11-23 14:30", "2018-11-23 18:00"),  # day after Thanksgiving
        (date(2018, 3, 9), "2018-03-09 14:30", "2018-03-09 21:00"),  # last session before daylight time
        (date(2018, 3, 12), "2018-03-12 13:30", "2018-03-12 20:00"),
        (date(2018, 11, 2), "2018-11-02 13:30", "2018-11-02 20:00"),  # last session of daylight time
        (date(2018, 11, 5), "2018-11-05 14:30", "2018-11-05 21:00"),
        (date(2026, 11, 27), "2026-11-27 14:30", "2026-11-27 18:00"),
    ],
)
def test_new_york_hours(session: date, opens: str, closes: str) -> None:
    assert NEW_YORK.open_at(session) == utc(opens)
    assert NEW_YORK.close_at(session) == utc(closes)
    assert NEW_YORK.final_at(session, SETTLE) == utc(closes) + timedelta(hours=1, minutes=30)


@pytest.mark.parametrize(
    "day",
    [
        date(2018, 12, 5),  # mourning for a president
        date(2018, 11, 22),  # Thanksgiving
        date(2018, 3, 30),  # Good Friday
        date(2018, 7, 4),
        date(2025, 1, 9),  # mourning again
        date(2018, 12, 8),  # a Saturday
    ],
)
def test_new_york_is_closed(day: date) -> None:
    assert not NEW_YORK.is_session(day)
    with pytest.raises(CalendarError, match=f"XNYS: {day} is not a session"):
        NEW_YORK.close_at(day)


@pytest.mark.parametrize(
    ("name", "session", "closes"),
    [
        ("XLON", date(2026, 12, 24), "2026-12-24 12:30"),
        ("XLON", date(2026, 12, 23), "2026-12-23 16:30"),
        ("XTKS", date(2024, 11, 1), "2024-11-01 06:00"),  # Tokyo trades half an hour longer since 5 November 2024
        ("XTKS", date(2024, 11, 5), "2024-11-05 06:30"),
        ("24/7", date(2018, 12, 22), "2018-12-23 00:00"),
        ("24/5", date(2018, 12, 21), "2018-12-22 00:00"),
    ],
)
def test_closes_elsewhere(name: str, session: date, closes: str) -> None:
    assert get_calendar(name, date(2018, 1, 1), date(2026, 12, 31)).close_at(session) == utc(closes)


def test_next_and_previous_step_over_closed_days() -> None:
    assert NEW_YORK.next(date(2018, 12, 7)) == date(2018, 12, 10), "Friday's next is Monday"
    assert NEW_YORK.next(date(2018, 12, 4)) == date(2018, 12, 6), "over the day of mourning"
    assert NEW_YORK.next(date(2018, 12, 8), 3) == date(2018, 12, 12), "from a Saturday"
    assert NEW_YORK.previous(date(2018, 12, 10)) == date(2018, 12, 7)
    assert NEW_YORK.previous(date(2018, 4, 2), 2) == date(2018, 3, 28)
    with pytest.raises(CalendarError, match="1 or more"):
        NEW_YORK.next(date(2018, 12, 7), 0)


def test_sessions_include_both_bounds() -> None:
    days = NEW_YORK.sessions(date(2018, 12, 21), date(2018, 12, 26))
    assert days == [date(2018, 12, 21), date(2018, 12, 24), date(2018, 12, 26)]
    assert NEW_YORK.sessions(date(2018, 12, 22), date(2018, 12, 23)) == []


def test_the_table_is_vectorised_and_frozen() -> None:
    table = NEW_YORK.table(date(2018, 12, 21), date(2018, 12, 26))

    assert table.sessions.tolist() == [date(2018, 12, 21), date(2018, 12, 24), date(2018, 12, 26)]
    assert (table.sessions.dtype, table.open_at.dtype) == (np.dtype("datetime64[D]"), np.dtype("datetime64[s]"))
    assert table.close_at[1] == np.datetime64("2018-12-24T18:00:00")
    with pytest.raises(ValueError, match="read-only"):
        table.sessions[0] = np.datetime64("2018-12-20")


def test_newest_final_waits_for_close_and_settle() -> None:
    assert NEW_YORK.newest_final(utc("2018-12-24 19:29:59"), SETTLE) == date(2018, 12, 21)
    assert NEW_YORK.newest_final(utc("2018-12-24 19:30:00"), SETTLE) == date(2018, 12, 24)
    assert NEW_YORK.newest_final(utc("2018-12-26 14:29"), SETTLE) == date(2018, 12, 24)


def test_newest_opened_begins_with_the_open() -> None:
    assert NEW_YORK.newest_opened(utc("2018-12-26 14:29:59")) == date(2018, 12, 24)
    assert NEW_YORK.newest_opened(utc("2018-12-26 14:30:00")) == date(2018, 12, 26)


def test_none_is_final_before_the_first_session() -> None:
    calendar = get_calendar("XNYS", date(2020, 1, 1))
    assert calendar.first == date(2020, 1, 1)
    assert calendar.newest_final(utc("2020-01-02 12:00"), SETTLE) is None


def test_the_first_session_of_a_calendar_is_found() -> None:
    calendar = get_calendar("XNYS", date(2020, 1, 1))
    assert calendar.previous(date(2020, 1, 3)) == date(2020, 1, 2)
    assert calendar.newest_opened(utc("2020-01-02 14:30")) == date(2020, 1, 2)
    assert calendar.newest_final(utc("2019-12-20 12:00"), SETTLE) is None


def test_part_of_a_second_before_1970_counts_for_the_day_it_is_in() -> None:
    calendar = get_calendar("weekdays", date(1965, 1, 1), date(1970, 12, 31))
    assert calendar.newest_opened(utc("1969-12-31 23:59:59.500")) == date(1969, 12, 31)
    assert calendar.newest_opened(utc("1970-01-01 00:00:00")) == date(1970, 1, 1)


@pytest.fixture
def machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("machine_in_tokyo")
def test_the_machines_time_zone_changes_nothing() -> None:
    # These bounds are of this test alone: a calendar of others may be built already.
    shanghai = get_calendar("XSHG", date(1990, 12, 19), date(2028, 11, 20))
    assert shanghai.exactness.last is not None
    assert shanghai.exactness.last < date(2030, 1, 1)
    assert shanghai.open_at(date(2030, 1, 2)) == utc("2030-01-02 01:30")
    assert shanghai.close_at(date(2030, 1, 2)) == utc("2030-01-02 07:00")
    assert shanghai.local_date(utc("2018-12-24 15:30")) == date(2018, 12, 24)
    weekdays = get_calendar("weekdays", date(1990, 12, 19), date(2028, 11, 20))
    assert weekdays.open_at(date(2018, 12, 24)) == utc("2018-12-24 00:00")
    assert weekdays.local_date(utc("2018-12-24 23:30")) == date(2018, 12, 24)
    tokyo = get_calendar("XTKS", date(2018, 1, 1), date(2018, 12, 31))
    assert tokyo.last == date(2020, 12, 31)
    assert tokyo.newest_opened(utc("2020-12-31 23:30")) == date(2020, 12, 30)
    with pytest.raises(CalendarError, match="XTKS: session 1 after 2020-12-30 is outside"):
        tokyo.next(date(2020, 12, 30))


def test_local_dates() -> None:
    late = utc("2018-12-24 23:30")
    tokyo = get_calendar("XTKS", date(2018, 1, 1))
    assert (NEW_YORK.local_date(late), tokyo.local_date(late)) == (date(2018, 12, 24), date(2018, 12, 25))
    assert NEW_YORK.local_date(utc("2018-12-25 03:00")) == date(2018, 12, 24)


@pytest.mark.parametrize(("name", "expected"), [("24/7", True), ("24/5", True), ("XNYS", False), ("XTKS", False)])
def test_continuous_is_where_t_opens_as_its_eve_closes(name: str, expected: bool) -> None:
    calendar = get_calendar(name, date(2018, 1, 1))
    assert calendar.continuous is expected
    wednesday = date(2018, 6, 6)
    assert (calendar.close_at(wednesday) == calendar.open_at(calendar.next(wednesday))) is expected


def test_every_day_is_a_session_around_the_clock() -> None:
    crypto = get_calendar("24/7", date(2018, 1, 1))
    assert crypto.sessions(date(2018, 12, 22), date(2018, 12, 24)) == [date(2018, 12, day) for day in (22, 23, 24)]
    assert crypto.next(date(2018, 12, 31)) == date(2019, 1, 1)
    currencies = get_calendar("24/5", date(2018, 1, 1))
    assert currencies.next(date(2018, 12, 21)) == date(2018, 12, 24)


def test_aliases_share_one_calendar() -> None:
    plain = get_calendar("XNYS", date(2018, 2, 3), date(2018, 5, 6))
    assert get_calendar("NYSE", date(2018, 9, 1), date(2018, 12, 1)) is plain
    assert (plain.name, plain.first, plain.last) == ("XNYS", date(2010, 1, 1), date(2020, 12, 31))
    assert not plain.approximate


def test_a_name_that_does_not_exist_is_refused() -> None:
    sentence = r"no calendar named 'XNSE'; use an exchange's code such as .*XNZE.*, or 'weekdays'"
    with pytest.raises(CalendarError, match=sentence):
        get_calendar("XNSE", date(2018, 1, 1))


def test_dates_outside_the_bounds_are_refused() -> None:
    calendar = get_calendar("XNYS", date(2018, 1, 1), date(2018, 12, 31))
    with pytest.raises(CalendarError, match=r"2021-01-04 is outside the calendar's bounds 2010-01-01\.\.2020-12-31"):
        calendar.is_session(date(2021, 1, 4))
    bounds = r"is outside the calendar's bounds 2010-01-01\.\.2020-12-31; call get_calendar with wider bounds$"
    with pytest.raises(CalendarError, match=f"XNYS: session 1 after 2020-12-31 {bounds}"):
        calendar.next(date(2020, 12, 31))
    with pytest.raises(CalendarError, match=f"XNYS: session 2 before 2010-01-05 {bounds}"):
        calendar.previous(date(2010, 1, 5), 2)
    with pytest.raises(CalendarError, match="outside the calendar's bounds"):
        calendar.newest_final(utc("2021-03-01 00:00"), SETTLE)
    with pytest.raises(CalendarError, match="must be aware"):
        calendar.newest_final(datetime(2018, 1, 1), timedelta(0))  # noqa: DTZ001


def assert_weekdays(calendar: MarketCalendar) -> None:
    assert calendar.sessions(date(2018, 12, 21), date(2018, 12, 26)) == [
        date(2018, 12, day) for day in (21, 24, 25, 26)
    ]
    assert calendar.approximate
    assert calendar.is_approximate(date(2018, 12, 24))
    assert not calendar.continuous
    assert calendar.close_at(date(2018, 12, 24)) == utc("2018-12-24 22:00")


def test_an_exchange_nobody_knows_trades_monday_to_friday() -> None:
    calendar = get_calendar("weekdays", date(2018, 1, 1))
    assert_weekdays(calendar)
    assert (calendar.name, calendar.last) == ("weekdays", date(2020, 12, 31))
    assert calendar.is_session(date(2020, 12, 31))
    with pytest.raises(CalendarError, match="is outside"):
        calendar.next(date(2020, 12, 31))
    table = calendar.table(date(2018, 12, 21), date(2018, 12, 26))
    assert {column.dtype for column in (table.open_at, table.close_at)} == {np.dtype("datetime64[s]")}


def test_a_calendar_that_cannot_be_built_falls_back_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert_weekdays(get_calendar("XTAE", date(2003, 1, 1), date(2018, 12, 31)))
    assert [record.getMessage()[:31] for record in caplog.records] == ["calendar XTAE cannot be built ("]
    assert len(caplog.records[0].getMessage()) < 300


def test_past_the_end_of_a_calendar_weekdays_stand_in_at_the_usual_hours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shanghai = get_calendar("XSHG", date(2010, 1, 1), date(2026, 11, 20))
    assert shanghai.approximate
    assert shanghai.exactness.last is not None
    guessed = shanghai.exactness.last + timedelta(days=40)
    monday = guessed - timedelta(days=guessed.weekday())
    assert shanghai.is_approximate(monday)
    assert not shanghai.is_approximate(date(2026, 9, 30))
    assert not shanghai.is_approximate(shanghai.exactness.last)
    assert shanghai.is_session(monday)
    assert (shanghai.open_at(monday) - datetime.combine(monday, datetime.min.time(), UTC)) == timedelta(minutes=90)
    assert not shanghai.is_session(date(2026, 10, 1)), "what the library knows still counts"
    assert len(caplog.records) == 1


def test_before_the_beginning_of_a_calendar_weekdays_stand_in(caplog: pytest.LogCaptureFixture) -> None:
    riyadh = get_calendar("XSAU", date(2018, 1, 1), date(2022, 1, 1))
    assert riyadh.is_approximate(date(2019, 5, 6))
    assert riyadh.is_session(date(2019, 5, 6))
    assert not riyadh.is_approximate(date(2021, 5, 4))
    assert riyadh.exactness.first is not None
    assert not riyadh.is_approximate(riyadh.exactness.first)
