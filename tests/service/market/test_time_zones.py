"""The table of time zones is that of the calendar library and of the exchanges with assumed sessions."""

import pytest
from exchange_calendars import calendar_utils

from service.market.assumed_sessions import ASSUMED_EXCHANGES
from service.market.time_zones import ZONES, time_zone


@pytest.mark.parametrize(
    ("calendar", "zone"),
    [
        ("XNYS", "America/New_York"),
        ("XTKS", "Asia/Tokyo"),
        ("XLON", "Europe/London"),
        ("XKUW", "Asia/Kuwait"),
        ("24/7", "UTC"),
        ("24/5", "UTC"),
        ("weekdays", "UTC"),
    ],
)
def test_calendars_have_the_zone_of_their_exchange(calendar: str, zone: str) -> None:
    assert time_zone(calendar) == zone


def test_every_calendar_of_an_exchange_is_in_the_table() -> None:
    library = {name: factory.tz.key for name, factory in calendar_utils._default_calendar_factories.items()}
    assumed = {name: str(exchange.hours.zone) for name, exchange in ASSUMED_EXCHANGES.items()}
    known = assumed | library
    assert {name: time_zone(name) for name in known} == known
    assert {name: time_zone(name) for name in assumed} == assumed
    assert set(ZONES) <= set(known)
