"""Dates that are a day early because local midnight was written as a UTC date."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from service.market.utc_dates import is_early, sessions_of_utc_dates


@pytest.mark.parametrize(
    ("zone", "written", "sessions"),
    [
        ("Asia/Tokyo", ["2023-01-03", "2023-01-04", "2023-01-08"], ["2023-01-04", "2023-01-05", "2023-01-09"]),
        # Clocks change on 2023-03-26: midnight is on the day before in UTC from Monday the 27th on.
        ("Europe/London", ["2023-03-23", "2023-03-24", "2023-03-26"], ["2023-03-23", "2023-03-24", "2023-03-27"]),
        # They change back on 2023-10-29.
        ("Europe/London", ["2023-10-26", "2023-10-30"], ["2023-10-27", "2023-10-30"]),
        ("America/New_York", ["2023-03-23", "2023-07-03"], ["2023-03-23", "2023-07-03"]),
    ],
)
def test_utc_dates_of_local_midnights_are_moved_to_the_session(
    zone: str, written: list[str], sessions: list[str]
) -> None:
    moved = sessions_of_utc_dates(np.array(written, "datetime64[D]"), ZoneInfo(zone))
    assert moved.astype(str).tolist() == sessions


def test_midnight_is_early_east_of_greenwich() -> None:
    day = date(2023, 7, 3)
    zones = ("Asia/Tokyo", "Europe/London", "UTC", "America/New_York")
    assert [is_early(day, ZoneInfo(zone)) for zone in zones] == [True, True, False, False]
