"""Calendars against known sessions and hours of the exchanges."""

import datetime as dt
import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from exchange_calendars import calendar_utils
from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

from service.errors import CalendarError
from service.market import exchange_calendar
from service.market.exchange_calendar import MarketCalendar, get_calendar
from service.market.session_calendar import DateBounds, Exactness

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
def test_closes_of_other_exchanges(name: str, session: date, closes: str) -> None:
    assert get_calendar(name, date(2018, 1, 1), date(2026, 12, 31)).close_at(session) == utc(closes)


def test_next_and_previous_skip_closed_days() -> None:
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


def test_the_table_has_read_only_arrays() -> None:
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


def test_newest_opened_changes_at_the_open() -> None:
    assert NEW_YORK.newest_opened(utc("2018-12-26 14:29:59")) == date(2018, 12, 24)
    assert NEW_YORK.newest_opened(utc("2018-12-26 14:30:00")) == date(2018, 12, 26)


def test_no_session_is_final_before_the_first_close() -> None:
    calendar = get_calendar("XNYS", date(2020, 1, 1))
    assert calendar.first == date(2020, 1, 1)
    assert calendar.newest_final(utc("2020-01-02 12:00"), SETTLE) is None


def test_the_first_session_of_a_calendar_is_found() -> None:
    calendar = get_calendar("XNYS", date(2020, 1, 1))
    assert calendar.previous(date(2020, 1, 3)) == date(2020, 1, 2)
    assert calendar.newest_opened(utc("2020-01-02 14:30")) == date(2020, 1, 2)
    assert calendar.newest_final(utc("2019-12-20 12:00"), SETTLE) is None


def test_a_fraction_of_a_second_before_1970_belongs_to_its_own_day() -> None:
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
def test_the_time_zone_of_the_machine_has_no_effect() -> None:
    # No other test uses these bounds, so the calendar is built here and not taken from the cache.
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


def test_local_dates_of_an_instant() -> None:
    late = utc("2018-12-24 23:30")
    tokyo = get_calendar("XTKS", date(2018, 1, 1))
    assert (NEW_YORK.local_date(late), tokyo.local_date(late)) == (date(2018, 12, 24), date(2018, 12, 25))
    assert NEW_YORK.local_date(utc("2018-12-25 03:00")) == date(2018, 12, 24)


@pytest.mark.parametrize(("name", "expected"), [("24/7", True), ("24/5", True), ("XNYS", False), ("XTKS", False)])
def test_continuous_calendars_open_when_the_session_before_closes(name: str, expected: bool) -> None:
    calendar = get_calendar(name, date(2018, 1, 1))
    assert calendar.continuous is expected
    wednesday = date(2018, 6, 6)
    assert (calendar.close_at(wednesday) == calendar.open_at(calendar.next(wednesday))) is expected


def test_around_the_clock_calendars_have_sessions_without_holidays() -> None:
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


def test_an_unknown_calendar_name_is_refused_with_suggestions() -> None:
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


def test_an_unknown_exchange_trades_monday_to_friday() -> None:
    calendar = get_calendar("weekdays", date(2018, 1, 1))
    assert_weekdays(calendar)
    assert (calendar.name, calendar.last) == ("weekdays", date(2020, 12, 31))
    assert calendar.is_session(date(2020, 12, 31))
    with pytest.raises(CalendarError, match="is outside"):
        calendar.next(date(2020, 12, 31))
    table = calendar.table(date(2018, 12, 21), date(2018, 12, 26))
    assert {column.dtype for column in (table.open_at, table.close_at)} == {np.dtype("datetime64[s]")}


def test_a_calendar_that_cannot_be_built_follows_the_usual_week_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            tel_aviv = get_calendar("XTAE", date(2003, 1, 1), date(2018, 12, 31))
    assert tel_aviv.sessions(date(2018, 12, 21), date(2018, 12, 26)) == [
        date(2018, 12, day) for day in (23, 24, 25, 26)
    ]
    assert tel_aviv.close_at(date(2018, 12, 24)) == utc("2018-12-24 15:25")
    assert tel_aviv.is_approximate(date(2018, 12, 24))
    assert [record.getMessage()[:31] for record in caplog.records] == ["calendar XTAE cannot be built ("]
    assert len(caplog.records[0].getMessage()) < 300


def test_tel_aviv_is_assumed_because_the_library_computes_wrong_holidays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The day the library is repaired, the last line fails and the calendar can be used again."""
    tel_aviv = get_calendar("XTAE", date(2021, 1, 1), date(2027, 1, 1))
    days = (date(2026, 1, 1), date(2026, 1, 4), date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7))
    assert tel_aviv.sessions(date(2026, 1, 1), date(2026, 1, 7)) == list(days), (
        "from Sunday to Thursday, then to Friday"
    )
    assert tel_aviv.sessions(date(2026, 1, 8), date(2026, 1, 11)) == [date(2026, 1, 8), date(2026, 1, 9)]
    assert tel_aviv.is_approximate(date(2026, 9, 21))
    with monkeypatch.context() as patch:
        patch.setattr(exchange_calendar, "_WRONG", frozenset())
        library = get_calendar("XTAE", date(2020, 1, 1), date(2026, 6, 1))
    assert library.exactness == Exactness(date(2026, 1, 5), date(2028, 12, 31))
    assert library.is_session(date(2026, 9, 21)), "Yom Kippur"


class _OneBadDay(XNYSExchangeCalendar):
    """New York with an early close on a Sunday of 2015, which contradicts its sessions."""

    name = "XBAD"

    @property
    def special_closes_adhoc(self) -> list[tuple[dt.time, pd.DatetimeIndex]]:
        """One special close on a Sunday."""
        return [(dt.time(13), pd.DatetimeIndex(["2015-06-07"]))]


def test_only_the_days_around_a_fault_of_the_library_are_assumed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(calendar_utils._default_calendar_factories, "XBAD", _OneBadDay)
    monkeypatch.setitem(calendar_utils.global_calendar_dispatcher._calendar_factories, "XBAD", _OneBadDay)
    with caplog.at_level(logging.WARNING):
        calendar = get_calendar("XBAD", date(2010, 1, 1), date(2018, 1, 1))
    assert calendar.exactness == Exactness(
        date(2010, 1, 1), date(2020, 12, 31), (DateBounds(date(2015, 6, 7), date(2015, 6, 7)),)
    )
    assert calendar.approximate
    assert [calendar.is_approximate(date(2015, 6, day)) for day in (5, 7, 8)] == [False, True, False]
    assert not calendar.is_session(date(2015, 6, 7))
    assert not calendar.is_session(date(2014, 12, 25))
    assert not calendar.is_session(date(2016, 12, 26))
    assert "is known for 2010-01-01..2015-06-06, 2015-06-08..2020-12-31 only" in caplog.text


def test_a_week_is_a_calendar() -> None:
    cairo = get_calendar("XCAI", date(2022, 1, 1), date(2024, 4, 1))
    assert cairo.next(date(2024, 3, 21)) == date(2024, 3, 24), "Thursday to Sunday"
    assert cairo.close_at(date(2024, 3, 24)) == utc("2024-03-24 12:30")
    assert cairo.is_approximate(date(2024, 3, 24))
    week = get_calendar("sun-thu", date(2022, 1, 1), date(2024, 4, 1))
    assert week.sessions(date(2024, 3, 20), date(2024, 3, 25)) == [date(2024, 3, day) for day in (20, 21, 24, 25)]
    dubai = get_calendar("XDFM", date(2021, 1, 1), date(2024, 4, 1))
    assert dubai.sessions(date(2021, 12, 29), date(2022, 1, 5)) == [
        date(2021, 12, 29), date(2021, 12, 30), date(2022, 1, 2), date(2022, 1, 3), date(2022, 1, 4), date(2022, 1, 5),
    ]  # fmt: skip


def test_weekdays_at_the_usual_hours_are_assumed_after_the_end_of_a_calendar(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        shanghai = get_calendar("XSHG", date(2010, 1, 1), date(2026, 11, 20))
    assert shanghai.approximate
    assert shanghai.exactness.last is not None
    assumed = shanghai.exactness.last + timedelta(days=40)
    monday = assumed - timedelta(days=assumed.weekday())
    assert shanghai.is_approximate(monday)
    assert not shanghai.is_approximate(date(2026, 9, 30))
    assert not shanghai.is_approximate(shanghai.exactness.last)
    assert shanghai.is_session(monday)
    assert (shanghai.open_at(monday) - datetime.combine(monday, datetime.min.time(), UTC)) == timedelta(minutes=90)
    assert not shanghai.is_session(date(2026, 10, 1)), "the library's holidays still count"
    assert len(caplog.records) == 1


def test_weekdays_are_assumed_before_the_start_of_a_calendar(caplog: pytest.LogCaptureFixture) -> None:
    riyadh = get_calendar("XSAU", date(2018, 1, 1), date(2022, 1, 1))
    assert riyadh.is_approximate(date(2019, 5, 6))
    assert riyadh.is_session(date(2019, 5, 6))
    assert not riyadh.is_approximate(date(2021, 5, 4))
    assert riyadh.exactness.first is not None
    assert not riyadh.is_approximate(riyadh.exactness.first)
