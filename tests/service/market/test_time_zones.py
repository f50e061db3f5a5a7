"""The table of time zones is the calendar library's."""

import pytest
from exchange_calendars import calendar_utils

from service.market.time_zones import ZONES, time_zone


@pytest.mark.parametrize(
    ("calendar", "zone"),
    [
        ("XNYS", "America/New_York"),
        ("XTKS", "Asia/Tokyo"),
        ("XLON", "Europe/London"),
        ("24/7", "UTC"),
        ("24/5", "UTC"),
        ("weekdays", "UTC"),
    ],
)
def test_calendars_have_the_zone_of_their_exchange(calendar: str, zone: str) -> None:
    assert time_zone(calendar) == zone


def test_every_calendar_of_the_library_is_in_the_table() -> None:
    library = {name: factory.tz.key for name, factory in calendar_utils._default_calendar_factories.items()}
    assert {name: time_zone(name) for name in library} == library
    assert set(ZONES) <= set(library)
