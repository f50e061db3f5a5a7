"""Columns of dates in every form, and the order of day and month."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.prices.sources.files.dates import DateRules, Dates, parse_dates

EXPECTED = ["2018-12-31", "2019-01-02"]


def parse(cells: list[str], calendar: str = "XNYS") -> Dates:
    return parse_dates(pa.chunked_array([pa.array(cells, pa.string())]), DateRules(2027, lambda: calendar))


def faults(found: Dates) -> dict[int, str]:
    return {row: found.reason(row) for row in np.flatnonzero(found.bad).tolist()}


def days(found: Dates) -> list[str]:
    return [str(day) for day in found.days]


@pytest.mark.parametrize(
    "cells",
    [
        ["2018-12-31", "2019-01-02"],
        ["2018-12-31 00:00:00", "2019-01-02 00:00:00"],
        ["2018-12-31 00:00:00+09:00", "2019-01-02 00:00:00+09:00"],  # the day before in UTC
        ["2018-12-31T21:00:00-05:00", "2019-01-02T21:00:00-05:00"],  # the day after in UTC
        ["2018/12/31", "2019/1/2"],
        ["2018.12.31", "2019.01.02"],
        ["20181231", "20190102"],
        ["31.12.2018", "02.01.2019"],
        ["31.12.18", "02.01.19"],
        ["31/12/2018", "02/01/2019"],
        ["12/31/2018", "01/02/2019"],
        ["12/31/18", "1/2/19"],
        ["31-12-2018", "02-01-2019"],
        ["31-Dec-2018", "02-Jan-2019"],
        ["31 December 2018", "2 January 2019"],
        ["Dec 31, 2018", "Jan 02, 2019"],
        ["1546232400", "1546405200"],  # 05:00 UTC is midnight in New York
        ["1546266600000", "1546439400000"],  # 14:30 UTC in milliseconds
        ["1546214400", "1546387200"],  # midnight UTC
        ["1546214400000000000", "1546387200000000000"],
    ],
)
def test_a_form_gives_the_local_dates(cells: list[str]) -> None:
    found = parse(cells)
    assert (days(found), faults(found), found.unclear) == (EXPECTED, {}, None)


def test_unix_stamps_are_local_to_the_exchange() -> None:
    # 15:00 UTC of the 30th and of 1 January is midnight of the next day in Tokyo.
    found = parse(["1546182000", "1546354800"], "XTKS")
    assert days(found) == EXPECTED
    assert found.notes == ("unix seconds assumed to be local to XTKS",)


def test_zone_aware_arrow_stamps_are_local_dates() -> None:
    stamps = pa.array([datetime(2018, 12, 30, 15), datetime(2019, 1, 1, 15)], pa.timestamp("us", "Asia/Tokyo"))  # noqa: DTZ001
    assert days(parse_dates(pa.chunked_array([stamps]), DateRules(2027, lambda: "XTKS"))) == EXPECTED


def test_sessions_settle_the_order_of_day_and_month() -> None:
    # 3 August and 3 November 2019 were a Saturday and a Sunday; 7, 8 and 11 March were weekdays.
    found = parse(["07/03/2019", "08/03/2019", "11/03/2019"])
    assert days(found) == ["2019-03-07", "2019-03-08", "2019-03-11"]
    assert found.notes == ("dates assumed to be day, month, year, by their order and sessions",)
    american = parse(["03/07/2019", "03/08/2019", "03/11/2019"])
    assert days(american) == ["2019-03-07", "2019-03-08", "2019-03-11"]
    # 1 May 2019 was a Wednesday, 5 January a Saturday.
    assert days(parse(["01/05/2019"])) == ["2019-05-01"]
    assert days(parse(["05/01/2019"])) == ["2019-05-01"]


def test_an_order_that_nothing_settles_is_refused_with_the_row() -> None:
    found = parse(["05/05/2020", "07/09/2020"], "24/7")
    assert found.unclear == (1, "date '07/09/2020' can be day or month first and no line settles it; write ISO dates")


def test_rows_in_both_orders_are_refused_with_the_row() -> None:
    found = parse(["31/12/2018", "01/14/2019"])
    assert found.unclear is not None
    assert found.unclear[0] == 1
    assert "has day and month in another order than the lines above" in found.unclear[1]


def test_one_mistyped_month_does_not_refuse_a_long_file() -> None:
    found = parse([*(f"{day}/0{month}/2018" for month in (1, 3) for day in range(10, 32)), "01/13/2018"])
    assert found.unclear is None
    assert list(faults(found)) == [44]
    assert str(found.days[0]) == "2018-01-10"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2018-12-31", "2019-02-30"], {1: "date '2019-02-30' is not an ISO date such as 2018-12-31; repair the line"}),
        (["20181231", "20190132"], {1: "date '20190132' is not a date such as 20181231; repair the line"}),
        (["2018-12-31", "Total"], {1: "date 'Total' is not an ISO date such as 2018-12-31; repair the line"}),
        (["2018-12-31", "9999-01-02"], {1: "year 9999 is outside 1900 to 2027; repair the line"}),
        (["31.12.2018", "02.01.1899"], {1: "year 1899 is outside 1900 to 2027; repair the line"}),
        (
            ["1546214400", "1546387200", "999999999999"],
            {2: "date '999999999999' is not a number of seconds since 1970; repair the line"},
        ),
        (["0", "1"], {k: f"date '{k}' is not a number of seconds since 1970; repair the line" for k in (0, 1)}),
    ],
)
def test_a_wrong_cell_is_named(cells: list[str], expected: dict[int, str]) -> None:
    assert faults(parse(cells)) == expected


def test_an_empty_cell_is_empty_and_no_fault() -> None:
    found = parse(["2018-12-31", " "])
    assert found.empty.tolist() == [False, True]
    assert faults(found) == {}
    assert np.isnat(found.days).tolist() == [False, True]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.dates(date(1900, 1, 1), date(2027, 12, 31)), min_size=1, max_size=20))
def test_dates_survive_every_unambiguous_form(listed: list[date]) -> None:
    expected = [day.isoformat() for day in listed]
    for form in ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%b %d, %Y"):
        assert days(parse([f"{day:{form}}" for day in listed])) == expected


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_text_gives_dates_or_faults(cells: list[str]) -> None:
    found = parse(cells)
    assert len(found.days) == len(cells)
    for row, day in enumerate(found.days):
        assert np.isnat(day) == bool(found.bad[row] or found.empty[row]) or found.unclear is not None


def test_years_that_are_not_read_do_not_settle_the_order_of_day_and_month() -> None:
    """With them the calendar of the exchange would be built up to the year 9999."""
    far = ["01/02/1000", "01/11/2018", "01/12/2018", "03/04/9999"]
    found = parse(far)  # 1 December 2018 is a Saturday
    assert days(found) == ["NaT", "2018-01-11", "2018-01-12", "NaT"]
    assert faults(found)[3] == "year 9999 is outside 1900 to 2027; repair the line"


def test_a_long_cell_is_cut_in_the_message() -> None:
    found = parse(["01/02/2018 " + "x" * 60_000])
    assert found.unclear is not None
    assert len(found.unclear[1]) < 150
