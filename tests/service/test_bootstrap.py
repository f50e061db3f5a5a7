"""The start of the service on a database that exists already."""

from pathlib import Path

from service.api.common.queries import read_change_counter
from service.bootstrap import open_database
from service.clock import ReplayMarketClock
from service.market.instruments import get_instrument
from service.prices.sources.registry import make_source
from service.settings import Settings


def test_a_calendar_of_the_settings_is_a_change_of_answers_once(tmp_path: Path) -> None:
    source, found = make_source("sample", tmp_path, None), []
    for calendars in ((), ("AAPL=XLON",), ("AAPL=XLON",)):
        settings = Settings(data_dir=tmp_path, calendars=calendars)
        database = open_database(settings, source, ReplayMarketClock())
        with database.reading() as connection:
            found.append((read_change_counter(connection), get_instrument(connection, "AAPL").calendar))
        database.close()
    assert found == [(0, "XNYS"), (1, "XLON"), (1, "XLON")]
