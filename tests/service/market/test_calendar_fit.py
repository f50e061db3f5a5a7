"""The calendar that fits the dates of rows."""

from datetime import date, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from service.market.calendar_fit import closest, compare_dates, fit_calendar
from service.market.exchange_calendar import MarketCalendar, get_calendar
from service.market.utc_dates import is_early, sessions_of_utc_dates

FIRST, LAST = date(2022, 6, 1), date(2024, 3, 28)
DAYS = np.arange(np.datetime64(FIRST), np.datetime64(LAST) + 1)
WEEKDAY = (DAYS.astype(np.int64) + 3) % 7
"""0 is Monday."""
TOKYO = get_calendar("XTKS", FIRST, LAST).table(FIRST, LAST).sessions
LONDON = get_calendar("XLON", FIRST, LAST)


def by_name(name: str) -> MarketCalendar:
    return get_calendar(name, FIRST - timedelta(days=7), LAST + timedelta(days=7))


def fit(days: NDArray[np.datetime64], stated: str, *likely: str) -> tuple[str, bool] | None:
    found = fit_calendar(days, stated, by_name, likely)
    return None if found is None else (found.name, found.utc_dates)


def test_off_and_missing_are_shares_of_rows_and_of_sessions() -> None:
    # XNYS from Tuesday, 2 January 2024: nine sessions to Friday the 12th, and a row on Saturday the 13th.
    days = np.array(["2024-01-02", "2024-01-03", "2024-01-05", "2024-01-12", "2024-01-13"], "datetime64[D]")
    found = compare_dates(days, get_calendar("XNYS", date(2024, 1, 1)))
    assert (found.name, found.utc_dates, found.evenness) == ("XNYS", False, 0.0), "no row on Monday and on Thursday"
    assert (found.off, found.missing) == (pytest.approx(0.2), pytest.approx(5 / 9))
    assert not found.fits


def test_seven_days_a_week_are_24_7() -> None:
    assert fit(DAYS, "XNYS") == ("24/7", False)


def test_a_coin_that_is_traded_on_three_days_of_four_is_24_7() -> None:
    kept = np.random.default_rng(1).random(len(DAYS)) < 0.75
    assert fit(DAYS[kept], "XNYS") == ("24/7", False)


@pytest.mark.parametrize(
    ("closed", "calendar"), [((4, 5), "sun-thu"), ((3, 4), "sat-wed"), ((5,), "sun-fri"), ((6,), "mon-sat")]
)
def test_other_weeks_are_found(closed: tuple[int, ...], calendar: str) -> None:
    assert fit(DAYS[~np.isin(WEEKDAY, closed)], "XNYS") == (calendar, False)


def test_dates_of_tokyo_that_are_a_day_early_are_recognised() -> None:
    assert fit(TOKYO - 1, "XTKS") == ("XTKS", True)
    # A week from Sunday to Thursday explains every row too, but not the holidays.
    assert fit(TOKYO - 1, "XNYS", "XTKS") == ("XTKS", True)


def test_dates_of_london_that_are_a_day_early_in_summer_are_recognised() -> None:
    sessions = LONDON.table(FIRST, LAST).sessions
    summer = np.array([is_early(day, LONDON.zone) for day in sessions.tolist()])
    written = np.where(summer, sessions - 1, sessions)
    assert fit(written, "XLON") == ("XLON", True)
    assert (sessions_of_utc_dates(written, LONDON.zone) == sessions).all()


def test_dates_west_of_greenwich_are_never_moved() -> None:
    sessions = get_calendar("XNYS", FIRST, LAST).table(FIRST, LAST).sessions
    assert fit(sessions + 1, "XNYS") is None, "from Tuesday to Saturday: no exchange has that week"
    assert fit(sessions, "XTKS", "XNYS") == ("XNYS", False)


@pytest.mark.parametrize(
    "days",
    [
        DAYS[WEEKDAY == 5],  # weekly
        DAYS[(DAYS - DAYS.astype("datetime64[M]")).astype(int) < 12],  # day and month mistaken for each other
    ],
)
def test_rows_that_are_not_daily_fit_no_calendar(days: NDArray[np.datetime64]) -> None:
    assert fit(days, "XNYS") is None


def test_the_closest_of_some_calendars_is_the_one_with_the_fewest_differences() -> None:
    assert closest(TOKYO, ("weekdays", "XTKS"), by_name) == "XTKS"
    assert closest(DAYS[WEEKDAY < 5], ("XNYS", "weekdays"), by_name) == "weekdays"
