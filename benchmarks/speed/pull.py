"""Speed of the pull and of the panel: 51 stocks of recorded prices into a new database, and out again.

Run from the repository root: `python -m benchmarks.speed.pull [FOLDER]`. Prints `name value unit bar`; those of
PostgreSQL, a separate server with durable writes as in production, only if its binaries are found.
"""

import sys
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy import func, select

from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import bars
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols, list_instruments
from service.prices.panel import PanelQuery, load_panel
from service.prices.pull.fetch_ranges import calendar_around
from service.prices.pull.fetcher import PullContext, pull_symbols
from service.prices.sources.files import FilesSource
from service.settings import Settings
from tests.support.postgres import NoPostgres, Options, find_binaries, running_server

_BAR_PULL = 150_000
_BAR_PULL_POSTGRES = 100_000
_BAR_RECENT = 0.05
_BAR_WHOLE = 1.0
_RECENT_ROWS = 310
_SESSION = date(2018, 12, 31)
_AT = datetime(2018, 12, 31, 23, tzinfo=UTC)


def pull(context: PullContext) -> tuple[int, float]:
    """Pull all symbols of the source; return the number of stored bars and the seconds."""
    with context.database.transaction() as connection:
        add_symbols(connection, context.source.symbols(), _AT, {})
        instruments = list_instruments(connection)
    # Built once per process and shared by all pulls, so it is not timed.
    calendar_around(context.calendars, "XNYS", _SESSION, _SESSION)
    begin = perf_counter()
    outcomes = list(pull_symbols(context, instruments, _SESSION, _AT))
    took = perf_counter() - begin
    failed = [outcome for outcome in outcomes if outcome.state not in ("ok", "suspect")]
    if failed:
        raise SystemExit(f"the pull did not work: {failed[0]}")
    with context.database.reading() as connection:
        return connection.execute(select(func.count()).select_from(bars)).scalar_one(), took


def read(context: PullContext, rows: int | None) -> float:
    """Return the seconds to load the price histories of all symbols."""
    symbols = tuple(context.source.symbols())
    begin = perf_counter()
    with context.database.reading() as connection:
        load_panel(connection, PanelQuery(symbols, (), _AT, context.settings.settle, rows))
    return perf_counter() - begin


def main(folder: Path) -> None:
    """Measure and print, the best of three."""
    with tempfile.TemporaryDirectory() as scratch:
        _measure(folder, [f"sqlite:///{scratch}/{name}.db" for name in "abc"], "", _BAR_PULL)
    try:
        with running_server(find_binaries(), Options(command=())) as running:
            databases = running.databases
            _measure(folder, [databases.url(databases.create()) for _ in "abc"], "_postgres", _BAR_PULL_POSTGRES)
    except NoPostgres as error:
        print(error, file=sys.stderr)


def _measure(folder: Path, urls: list[str], name: str, bar: int) -> None:
    pulls = []
    for url in urls:
        database = Database(url)
        upgrade(database)
        # A new source each time: its files are read and parsed again.
        context = PullContext(database, FilesSource(folder), Settings(source=f"files:{folder}"), get_calendar)
        count, took = pull(context)
        pulls.append(count / took)
        if url == urls[-1]:
            print(f"pull{name}_cold {max(pulls):.0f} bars/s {bar}")
            _report(context, name)
        database.close()


def _report(context: PullContext, name: str) -> None:
    print(f"pull{name}_again {_again(context):.2f} s -")
    print(f"frames{name}_recent {min(read(context, _RECENT_ROWS) for _ in range(3)):.3f} s {_BAR_RECENT}")
    print(f"frames{name}_whole {min(read(context, None) for _ in range(3)):.3f} s {_BAR_WHOLE}")


def _again(context: PullContext) -> float:
    with context.database.reading() as connection:
        instruments = list_instruments(connection)
    begin = perf_counter()
    list(pull_symbols(context, instruments, _SESSION, _AT))
    return perf_counter() - begin


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[3] / "shared" / "prices" / "us_stocks")
