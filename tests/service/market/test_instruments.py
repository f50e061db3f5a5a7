"""The watchlist, the reference series and the metadata of their symbols."""

from datetime import UTC, datetime

import pytest

from service.db.session import Database
from service.errors import NotFound, SettingsError
from service.market.instruments import (
    Instrument,
    add_symbols,
    get_instrument,
    list_instruments,
    remove_symbols,
    set_state,
    store_metadata,
)
from service.prices.sources.base import InstrumentMeta
from service.vocabulary import SymbolState

AT = datetime(2024, 1, 2, 12, tzinfo=UTC)
LATER = datetime(2024, 1, 3, 12, tzinfo=UTC)


def stored(database: Database, symbol: str) -> Instrument:
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
def test_metadata_of_a_new_symbol_is_guessed_from_its_name(
    database: Database, symbol: str, calendar: str, group: str
) -> None:
    add(database, symbol)
    found = stored(database, symbol)
    assert (found.calendar, found.group, found.state, found.basis) == (calendar, group, "new", 1)
    assert (found.active, found.reference, found.state_since) == (True, False, AT)
    assert (found.first_session, found.last_session, found.name) == (None, None, None)


@pytest.mark.parametrize("symbol", ["", ".A", "A B", "A" * 41, "A/B", "a;drop", "-X", "Ä"])
def test_an_invalid_name_adds_no_symbol(database: Database, symbol: str) -> None:
    with pytest.raises(SettingsError, match="is not a symbol"):
        add(database, "AAPL", symbol)
    with database.reading() as connection:
        assert list_instruments(connection) == ()


def test_a_removed_symbol_keeps_its_row_and_can_be_added_again(database: Database) -> None:
    add(database, "AAPL", "MSFT")
    with database.transaction() as connection:
        set_state(connection, "AAPL", SymbolState.OK, None, LATER)
        remove_symbols(connection, ["AAPL"])
        assert [found.symbol for found in list_instruments(connection, active=True)] == ["MSFT"]
    add(database, "AAPL")
    assert (stored(database, "AAPL").active, stored(database, "AAPL").state) == (True, "ok")


def test_removing_a_missing_symbol_removes_none(database: Database) -> None:
    add(database, "AAPL")
    with pytest.raises(NotFound, match="MSFT"), database.transaction() as connection:
        remove_symbols(connection, ["AAPL", "MSFT"])
    assert stored(database, "AAPL").active


def test_a_symbol_can_be_reference_series_and_on_the_watchlist(database: Database) -> None:
    add(database, "SPY", reference=True)
    assert (stored(database, "SPY").active, stored(database, "SPY").reference) == (False, True)
    add(database, "SPY", "AAPL", "MSFT")
    assert (stored(database, "SPY").active, stored(database, "SPY").reference) == (True, True)
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
def test_metadata_of_the_source_replaces_the_guess(
    database: Database, meta: InstrumentMeta, calendar: str, group: str
) -> None:
    add(database, "TEP.PA")
    with database.transaction() as connection:
        found = store_metadata(connection, "TEP.PA", meta, LATER, {})
    assert (found.calendar, found.group, found.state, found.state_since) == (calendar, group, "ok", LATER)
    assert found.instrument_type == meta.instrument_type


def test_state_since_changes_only_with_the_state(database: Database) -> None:
    add(database, "AAPL")
    with database.transaction() as connection:
        assert set_state(connection, "AAPL", SymbolState.SUSPECT, "a ratio", AT)
        assert set_state(connection, "AAPL", SymbolState.SUSPECT, "another ratio", LATER)
        assert not set_state(connection, "AAPL", SymbolState.SUSPECT, "another ratio", LATER)
        assert not set_state(connection, "NONE", SymbolState.SUSPECT, None, LATER)
    found = stored(database, "AAPL")
    assert (found.state, found.state_reason, found.state_since) == ("suspect", "another ratio", AT)


def test_a_missing_symbol_is_refused_with_the_command_to_add_it(database: Database) -> None:
    with database.reading() as connection, pytest.raises(NotFound, match="tplus symbols add AAPL"):
        get_instrument(connection, "AAPL")
