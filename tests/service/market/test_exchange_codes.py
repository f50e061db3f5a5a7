"""The calendar of a symbol, by exchange code, suffix and manifest name."""

from datetime import date

import pytest

from service.market.exchange_calendar import get_calendar
from service.market.exchange_codes import _EXCHANGES, calendar_by_name, calendar_for


@pytest.mark.parametrize(
    ("symbol", "exchange", "calendar"),
    [
        ("AAPL", "NMS", "XNYS"),
        ("AAPL", None, "XNYS"),
        ("BRK.B", None, "XNYS"),
        ("^VIX", None, "XNYS"),
        ("7203.T", None, "XTKS"),
        ("7203.T", "JPX", "XTKS"),
        ("REL.L", None, "XLON"),
        ("TEP.PA", "PAR", "XPAR"),
        ("IBE.MC", None, "XMAD"),
        ("1398.HK", None, "XHKG"),
        ("RELIANCE.NS", "NSI", "XBOM"),
        ("6488.TWO", None, "XTAI"),
        ("BTC-USD", None, "24/7"),
        ("ETH-EUR", "CCC", "24/7"),
        ("BRK-B", None, "XNYS"),
        ("EURUSD=X", None, "24/5"),
        ("ES=F", None, "CMES"),
        ("VOD.L", "???", "XLON"),
        ("ODD", "???", "weekdays"),
    ],
)
def test_calendar_of_a_symbol(symbol: str, exchange: str | None, calendar: str) -> None:
    assert calendar_for(symbol, exchange) == calendar


@pytest.mark.parametrize(
    ("name", "calendar"),
    [
        ("NYSE", "XNYS"),
        ("CBOE", "XNYS"),
        ("LSE", "XLON"),
        ("TSE", "XTKS"),
        ("Euronext Paris", "XPAR"),
        ("BME Madrid", "XMAD"),
        ("HKEX", "XHKG"),
        ("FX (Sun-Fri)", "24/5"),
        ("24/7", "24/7"),
        ("Atlantis", None),
    ],
)
def test_calendar_by_the_exchange_name_of_a_manifest(name: str, calendar: str | None) -> None:
    assert calendar_by_name(name) == calendar


def test_each_code_and_each_suffix_has_one_calendar() -> None:
    for column in (0, 1):
        names = [name for row in _EXCHANGES.values() for name in row[column].split()]
        assert len(names) == len(set(names))


def test_every_listed_calendar_exists() -> None:
    # Korea is left out because its calendar takes seconds to build.
    for name in _EXCHANGES.keys() - {"XKRX"}:
        calendar = get_calendar(name, date(2020, 1, 1), date(2024, 1, 1))
        assert len(calendar.sessions(date(2023, 1, 1), date(2023, 12, 31))) > 230
