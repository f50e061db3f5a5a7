"""The spelling of symbols."""

from datetime import UTC, datetime

from service.db.session import Database
from service.market.instruments import add_symbols
from service.market.symbol_names import normalize_symbols


def test_a_new_symbol_is_in_capitals_and_a_stored_one_as_it_is(database: Database) -> None:
    with database.transaction() as connection:
        add_symbols(connection, ["AAPL", "Brk-b.x"], datetime(2018, 6, 1, tzinfo=UTC), {})
        assert normalize_symbols(connection, ["msft", "BRK-B.X", "aapl", "MSFT", "7203.t"]) == [
            "MSFT",
            "Brk-b.x",
            "AAPL",
            "7203.T",
        ]
        assert normalize_symbols(connection, ["\u00df"]) == ["\u00df"]  # its capitals would be another name, SS
