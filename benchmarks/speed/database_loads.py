"""Ways to load the same bars into a new database: the service's pull, and each database's bulk path."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import func, make_url, select

from service.db.bulk.arrays import ArrayColumn, write_arrays
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import bars
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols, list_instruments
from service.prices.checks.row_checks import FIELDS
from service.prices.pull.fetch_ranges import calendar_around
from service.prices.pull.fetcher import PullContext, pull_symbols
from service.prices.sources.base import FetchedPrices, InstrumentMeta, Record
from service.settings import Settings

SOURCE = "files:/made"
SESSION = date(2018, 12, 31)
AT = datetime(2018, 12, 31, 23, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MadePrices:
    """A source whose answers are ready in memory."""

    answers: Mapping[str, FetchedPrices]
    name: str = SOURCE
    can_replay: bool = True

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:  # noqa: ARG002
        """Return the whole history of a symbol."""
        return self.answers[symbol]

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols."""
        return tuple(self.answers)

    def record(self) -> Record | None:
        """Return None: the span is not needed."""
        return None

    def faults(self) -> tuple[str, ...]:
        """Return no fault."""
        return ()

    def begin_run(self) -> None:
        """Do nothing: there is no cache."""


def ready_source(count: int, sessions: int, last: date) -> MadePrices:
    """Return random walks on the sessions of the New York exchange.

    Args:
        count: Symbols.
        sessions: Sessions of each.
        last: Newest session.
    """
    calendar = get_calendar("XNYS", date(last.year - sessions // 240, 1, 3), last)
    days = calendar.table(date(last.year - sessions // 240, 1, 3), last).sessions[-sessions:].astype("datetime64[D]")
    index = pd.DatetimeIndex(days.astype("datetime64[ns]"), name="session")
    random = np.random.default_rng(7)
    answers = {}
    for number in range(count):
        close = np.round(50 * np.exp(np.cumsum(random.normal(0, 0.015, len(days)))), 4)
        opens = np.round(close * np.exp(random.normal(0, 0.003, len(days))), 4)
        high, low = np.maximum(opens, close) * 1.004, np.minimum(opens, close) * 0.996
        volume = np.floor(random.lognormal(14, 0.3, len(days)))
        table = pd.DataFrame({"open": opens, "high": high, "low": low, "close": close, "volume": volume}, index)
        symbol = f"S{number:04d}"
        meta = InstrumentMeta(symbol, "NMS", "XNYS", "USD", zone="America/New_York", calendar_stated=True)
        answers[symbol] = FetchedPrices(symbol, table, (), meta)
    return MadePrices(answers)


class Loads:
    """Loads the same bars in several ways, each time into a new database.

    Args:
        new_url: Returns the URL of another empty database.
        prices: The bars.
    """

    def __init__(self, new_url: Callable[[], str], prices: MadePrices) -> None:
        self._new_url, self._prices = new_url, prices
        self._filled = ""

    def ways(self) -> Mapping[str, Callable[[], float]]:
        """Return the ways by name; each returns bars/s. `pull` is the service's own."""
        kind = "sqlite" if self._new_url().startswith("sqlite") else "postgresql"
        own = {} if kind == "sqlite" else {"binary COPY, one transaction": self._copy}
        return {"pull": self._pull, "ADBC ingest": self._load_by_adbc, **own}

    def filled(self) -> str:
        """Return the URL of the database of the last pull."""
        return self._filled

    def _new(self) -> Database:
        database = Database(self._new_url())
        upgrade(database)
        with database.transaction() as connection:
            add_symbols(connection, self._prices.symbols(), AT, {})
        return database

    def _pull(self) -> float:
        database = self._new()
        self._filled = database.url
        with database.reading() as connection:
            instruments = list_instruments(connection)
        context = PullContext(database, self._prices, Settings(source=SOURCE), get_calendar)
        calendar_around(context.calendars, "XNYS", SESSION, SESSION)  # once per process
        begun = perf_counter()
        outcomes = list(pull_symbols(context, instruments, SESSION, AT))
        seconds = perf_counter() - begun
        failed = [outcome for outcome in outcomes if outcome.state not in ("ok", "suspect")]
        if failed:
            raise SystemExit(f"the pull did not work: {failed[0]}")
        return _count(database) / seconds

    def _load_by_adbc(self) -> float:
        database = self._new()
        is_sqlite = database.is_sqlite
        table = pa.concat_tables([_arrow(symbol, answer, is_sqlite) for symbol, answer in self._prices.answers.items()])
        database.close()  # ADBC's own SQLite would drop the locks of this process
        begun = perf_counter()
        with connect_adbc(database.url) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("bars", table, mode="append")
            connection.commit()
        seconds = perf_counter() - begun
        return _count(database) / seconds

    def _copy(self) -> float:
        database = self._new()
        columns = _columns(self._prices.answers)
        begun = perf_counter()
        with database.transaction() as connection:
            for each in columns:
                write_arrays(connection, bars, each)
        seconds = perf_counter() - begun
        return _count(database) / seconds


def connect_adbc(url: str) -> Any:
    """Return an ADBC connection to the database of an SQLAlchemy URL."""
    if url.startswith("sqlite"):
        from adbc_driver_sqlite.dbapi import connect as connect_sqlite

        return connect_sqlite(url.replace("sqlite:///", "file:"))
    from adbc_driver_postgresql.dbapi import connect as connect_postgres

    return connect_postgres(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


def _count(database: Database) -> int:
    with database.reading() as connection:
        count: int = connection.execute(select(func.count()).select_from(bars)).scalar_one()
    database.close()
    return count


def _columns(answers: Mapping[str, FetchedPrices]) -> list[dict[str, ArrayColumn]]:
    return [
        {
            "symbol": symbol,
            "session": answer.bars.index.to_numpy().astype("datetime64[D]"),
            **{name: answer.bars[name].to_numpy() for name in FIELDS},
            "source": SOURCE,
            "fetched_at": AT,
            "revision": 1,
        }
        for symbol, answer in answers.items()
    ]


def _arrow(symbol: str, answer: FetchedPrices, is_sqlite: bool) -> pa.Table:
    """Return bars as the database stores them."""
    count = len(answer.bars)
    days = answer.bars.index.to_numpy().astype("datetime64[D]")
    at = np.full(count, np.datetime64(AT.replace(tzinfo=None), "us"))
    fetched: Any = ["2018-12-31 23:00:00.000000"] * count if is_sqlite else pa.array(at, pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "symbol": [symbol] * count,
            "session": days.astype(str) if is_sqlite else days,
            **{name: answer.bars[name].to_numpy() for name in FIELDS},
            "source": [SOURCE] * count,
            "fetched_at": fetched,
            "revision": np.ones(count, np.int32),
        }
    )
