"""The calendar of a symbol, by exchange code, suffix and manifest name."""

from datetime import date
from zoneinfo import available_timezones

import pytest
from yfinance import const

from service.market.exchange_calendar import get_calendar
from service.market.exchange_codes import (
    _EXCHANGES,
    _MARKETS,
    CalendarChoice,
    MarketHints,
    calendar_by_name,
    calendar_by_suffix,
    calendar_for,
    choose_calendar,
)


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
        ("VTSAX", "NAS", "XNYS"),
        ("^IXIC", "NIM", "XNYS"),
        ("^TNX", "CGI", "XNYS"),
        ("DX-Y.NYB", "NYB", "XNYS"),
        ("DX-Y.NYB", None, "XNYS"),
        ("^NYA", "NYS", "XNYS"),
        ("NBK.KW", "KUW", "XKUW"),
        ("NBK.KW", None, "XKUW"),
        ("COMI.CA", None, "XCAI"),
        ("BTC-USDT", None, "24/7"),
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
        ("sun-thu", "sun-thu"),
        ("Atlantis", None),
    ],
)
def test_calendar_by_the_exchange_name_of_a_manifest(name: str, calendar: str | None) -> None:
    assert calendar_by_name(name) == calendar


@pytest.mark.parametrize(
    ("symbol", "hints", "calendar", "is_assumed"),
    [
        ("AAPL", MarketHints("NMS"), "XNYS", False),
        ("PLAIN", MarketHints(), "XNYS", True),
        ("VOD.L", MarketHints("???"), "XLON", False),
        ("ODD", MarketHints("???"), "weekdays", True),
        ("ODD", MarketHints("???", zone="Asia/Tokyo"), "XTKS", True),
        ("ODD", MarketHints("???", zone="Asia/Calcutta"), "XBOM", True),
        ("ODD", MarketHints("???", zone="Mars/North", currency="KWF"), "XKUW", True),
        ("ODD", MarketHints("???", zone="Europe/London", currency="USD"), "XLON", True),
        ("ODD", MarketHints(currency="EUR"), "XNYS", True),
        ("ODD", MarketHints("???", currency="EUR"), "weekdays", True),
        ("COIN", MarketHints("???", zone="UTC", instrument_type="CRYPTOCURRENCY"), "24/7", False),
    ],
)
def test_zone_and_currency_name_the_market_where_the_code_is_unknown(
    symbol: str, hints: MarketHints, calendar: str, is_assumed: bool
) -> None:
    assert choose_calendar(symbol, hints) == CalendarChoice(calendar, is_assumed)


def test_every_exchange_of_yfinance_is_known() -> None:
    tables = (const.EQUITY_SCREENER_EQ_MAP, const.ETF_SCREENER_EQ_MAP, const.FUND_SCREENER_EQ_MAP)
    codes: set[str] = set()
    for table in tables:
        exchanges = table["exchange"]
        for listed in exchanges.values() if isinstance(exchanges, dict) else [exchanges]:
            codes.update(code for code in listed if code)
    assert len(codes) > 80
    assert [code for code in sorted(codes) if calendar_for("ODD", code) == "weekdays"] == []
    suffixes = {suffix for suffix in const._MIC_TO_YAHOO_SUFFIX.values() if suffix}
    assert [suffix for suffix in sorted(suffixes) if calendar_by_suffix(f"ODD.{suffix}") is None] == []


def test_each_zone_and_each_currency_names_one_market() -> None:
    zones = [zone for zone, _ in _MARKETS.values()]
    currencies = [code for _, codes in _MARKETS.values() for code in codes.split()]
    assert len(zones) == len(set(zones))
    assert len(currencies) == len(set(currencies))
    assert _MARKETS.keys() <= _EXCHANGES.keys()
    assert {zone for zone in zones if zone not in available_timezones()} == set()


def test_each_code_and_each_suffix_has_one_calendar() -> None:
    for column in (0, 1):
        names = [name for row in _EXCHANGES.values() for name in row[column].split()]
        assert len(names) == len(set(names))


def test_every_listed_calendar_exists() -> None:
    # Korea and Moscow are left out because their calendars take seconds to build.
    for name in _EXCHANGES.keys() - {"XKRX", "XMOS"}:
        calendar = get_calendar(name, date(2020, 1, 1), date(2024, 1, 1))
        assert len(calendar.sessions(date(2023, 1, 1), date(2023, 12, 31))) > 230
