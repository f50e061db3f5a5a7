"""A symbol that the source does not know: fetched again once a week, other symbols every session."""

from datetime import UTC, date, datetime
from pathlib import Path

from service.db.session import Database
from service.prices.sources.base import UnknownSymbol
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import ServiceOptions, make_service

WEEKDAYS = (1, 4, 5, 6, 7, 8, 11, 12, 13)
"""Sessions of New York from Friday 1 to Wednesday 13 March 2024."""


def test_an_unknown_symbol_is_fetched_again_after_a_week(database: Database, tmp_path: Path) -> None:
    source = RecordedWalks([Walk(name, date(2023, 9, 1), date(2024, 3, 28), seed=1) for name in ("AAA", "BBB")])
    source.errors["BBB"] = UnknownSymbol("BBB: no such symbol")
    service = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB")))
    scheduler = service.scheduler()
    service.replay(scheduler, datetime(2024, 3, 13, 22, tzinfo=UTC))
    scheduler.close()
    days = {name: [at.day for symbol, at in source.fetched if symbol == name] for name in ("AAA", "BBB")}
    assert days == {"AAA": list(WEEKDAYS), "BBB": [1, 8]}
