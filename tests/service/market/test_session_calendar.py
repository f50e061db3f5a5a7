"""A calendar over a literal table of four sessions."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from service.errors import CalendarError
from service.market.session_calendar import DateBounds, Exactness, MarketCalendar, SessionTable

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 10)
SESSIONS = ("2024-03-01", "2024-03-04", "2024-03-06", "2024-03-10")


def make_calendar(
    sessions: tuple[str, ...] = SESSIONS, hours: tuple[int, int] = (9, 17), exact: tuple[date, date] = (FIRST, LAST)
) -> MarketCalendar:
    """Return a calendar whose sessions open and close at UTC hours of their date; the table's unit is minutes."""
    days = np.array(sessions, "datetime64[D]")
    opens, closes = (days.astype("datetime64[m]") + np.timedelta64(60 * hour, "m") for hour in hours)
    return MarketCalendar("TEST", DateBounds(FIRST, LAST), SessionTable(days, opens, closes), UTC, Exactness(*exact))


def test_a_calendar_has_its_name_and_bounds() -> None:
    calendar = make_calendar()
    assert (calendar.name, calendar.first, calendar.last) == ("TEST", FIRST, LAST)


def test_the_columns_are_read_only() -> None:
    table = make_calendar().table(FIRST, LAST)
    assert len(table) == 4
    for column in (table.sessions, table.open_at, table.close_at):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]


def test_hours_are_instants_in_every_unit_of_the_table() -> None:
    calendar = make_calendar()
    assert calendar.open_at(date(2024, 3, 4)) == datetime(2024, 3, 4, 9, tzinfo=UTC)
    assert calendar.close_at(date(2024, 3, 4)) == datetime(2024, 3, 4, 17, tzinfo=UTC)
    assert calendar.newest_opened(datetime(2024, 3, 4, 9, tzinfo=UTC)) == date(2024, 3, 4)
    assert calendar.newest_final(datetime(2024, 3, 4, 17, 59, tzinfo=UTC), timedelta(hours=1)) == FIRST


def test_the_bounds_are_inclusive() -> None:
    calendar = make_calendar()
    assert calendar.is_session(FIRST)
    assert calendar.is_session(LAST)
    assert calendar.previous(date(2024, 3, 4)) == FIRST
    assert calendar.next(date(2024, 3, 6)) == LAST


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2024, 3, 11)])
def test_dates_outside_the_bounds_are_refused(day: date) -> None:
    sentence = (
        rf"^TEST: {day} is outside the calendar's bounds 2024-03-01\.\.2024-03-10; call get_calendar with wider bounds$"
    )
    with pytest.raises(CalendarError, match=sentence):
        make_calendar().is_session(day)


def test_exact_dates_include_both_ends() -> None:
    calendar = make_calendar(exact=(date(2024, 3, 4), date(2024, 3, 6)))
    days = (FIRST, date(2024, 3, 4), date(2024, 3, 6), date(2024, 3, 7))
    assert [calendar.is_approximate(day) for day in days] == [True, False, False, True]
    assert calendar.approximate
    assert not make_calendar().approximate
