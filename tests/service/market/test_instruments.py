"""The watchlist and what is known of its symbols."""

from datetime import UTC, datetime

import pytest

from service.db.session import Database
from service.errors import NotFound, SettingsError
from service.market.instruments import (
    Instrument,
    add_symbols,
    store_metadata,
    get_instrument,
    list_instruments,
    remove_symbols,
    set_state,
)
from service.prices.sources.base import InstrumentMeta

AT = datetime(2024, 1, 2, 12, tzinfo=UTC)
LATER = datetime(2024, 1, 3, 12, tzinfo=UTC)


def one(database: Database, symbol: str) -> Instrument:
    with database.reading() as connection:
        return get_instrument(connection, symbol)


def add(database: Database, *symbols: str, reference: bool = False) -> None:
    with database.transaction() as connection:
        add_symbols(connection, symbols, AT, {"GLD": "metals"}, reference)


@pytest.mark.parametrize(
    ("symbol", "calendar", "group"),
    [
        ("AAPL", "XNYS", "equity"), ("7203.T", "XTKS", "equity"), ("BTC-USD", "24/7", "crypto"),
        ("EURUSD=X", "24/5", "fx"), ("ES=F", "CMES", "other"), ("^VIX", "XNYS", "other"), ("GLD", "XNYS", "metals"),
        ("BRK-B", "XNYS", "equity"),
    ],
)  # fmt: skip
def test_a_new_symbol_is_guessed_from_its_name(database: Database, symbol: str, calendar: str, group: str) -> None:
    add(database, symbol)
    found = one(database, symbol)
    assert (found.calendar, found.group, found.state, found.basis) == (calendar, group, "new", 1)
    assert (found.active, found.reference, found.state_since) == (True, False, AT)
    assert (found.first_session, found.last_session, found.name) == (None, None, None)


@pytest.mark.parametrize("symbol", ["", ".A", "A B", "A" * 41, "A/B", "a;drop", "-X", "Ä"])
def test_a_bad_name_adds_nothing(database: Database, symbol: str) -> None:
    with pytest.raises(SettingsError, match="is not a symbol"):
        add(database, "AAPL", symbol)
    with database.reading() as connection:
        assert list_instruments(connection) == ()


def test_removing_keeps_the_row_and_adding_again_revives_it(database: Database) -> None:
    add(database, "AAPL", "MSFT")
    with database.transaction() as connection:
        set_state(connection, "AAPL", "ok", None, LATER)
        remove_symbols(connection, ["AAPL"])
        assert [found.symbol for found in list_instruments(connection, active=True)] == ["MSFT"]
    add(database, "AAPL")
    assert (one(database, "AAPL").active, one(database, "AAPL").state) == (True, "ok")


def test_removing_what_is_not_there(database: Database) -> None:
    add(database, "AAPL")
    with pytest.raises(NotFound, match="MSFT"), database.transaction() as connection:
        remove_symbols(connection, ["AAPL", "MSFT"])
    assert one(database, "AAPL").active


def test_reference_and_watchlist_are_two_things(database: Database) -> None:
    add(database, "SPY", reference=True)
    assert (one(database, "SPY").active, one(database, "SPY").reference) == (False, True)
    add(database, "SPY", "AAPL", "MSFT")
    assert (one(database, "SPY").active, one(database, "SPY").reference) == (True, True)
    with database.transaction() as connection:
        remove_symbols(connection, ["SPY", "MSFT"])
        assert [found.symbol for found in list_instruments(connection, pulled=True)] == ["AAPL", "SPY"]
        assert [found.symbol for found in list_instruments(connection, calendar="XTKS")] == []


@pytest.mark.parametrize(
    ("meta", "calendar", "group"),
    [
        (InstrumentMeta(calendar="XLON", exchange="NMS"), "XLON", "equity"),
        (InstrumentMeta(exchange="JPX", instrument_type="ETF"), "XTKS", "equity"),
        (InstrumentMeta(instrument_type="MUTUALFUND"), "XPAR", "equity"),
        (InstrumentMeta(instrument_type="CRYPTOCURRENCY", exchange="CCC"), "24/7", "crypto"),
        (InstrumentMeta(instrument_type="CURRENCY", exchange="CCY"), "24/5", "fx"),
        (InstrumentMeta(instrument_type="INDEX"), "XPAR", "other"),
    ],
)
def test_what_the_source_says_counts(database: Database, meta: InstrumentMeta, calendar: str, group: str) -> None:
    add(database, "TEP.PA")
    with database.transaction() as connection:
        found = store_metadata(connection, "TEP.PA", meta, LATER, {})
    assert (found.calendar, found.group, found.state, found.state_since) == (calendar, group, "ok", LATER)
    assert found.instrument_type == meta.instrument_type


def test_the_state_since_moves_with_the_state_alone(database: Database) -> None:
    add(database, "AAPL")
    with database.transaction() as connection:
        assert set_state(connection, "AAPL", "suspect", "a ratio", AT)
        assert set_state(connection, "AAPL", "suspect", "another ratio", LATER)
        assert not set_state(connection, "AAPL", "suspect", "another ratio", LATER)
        assert not set_state(connection, "NONE", "suspect", None, LATER)
    found = one(database, "AAPL")
    assert (found.state, found.state_reason, found.state_since) == ("suspect", "another ratio", AT)


def test_who_is_not_there(database: Database) -> None:
    with database.reading() as connection, pytest.raises(NotFound, match="tplus symbols add AAPL"):
        get_instrument(connection, "AAPL")
