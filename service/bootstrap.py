"""Builds the service: database, stamp, watchlist, clocks, source, workers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select, update

from service.access.key_file import store_key_file
from service.clock import DatabaseClock, MarketClock, ReplayMarketClock, SystemMarketClock
from service.db import migrate
from service.db.change_counters import lock_changes, raise_changes
from service.db.session import Database
from service.db.tables import instruments, stamp
from service.errors import CalendarError, SettingsError
from service.execution.choose import training_executor
from service.execution.local import WarmWorker
from service.market.calendars import Calendars
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols, check_watchlist_size
from service.market.symbol_names import normalize_symbols
from service.prices.sources.base import PriceSource
from service.prices.sources.registry import make_source
from service.runtime.context import ServiceContext, network_of, parse_reference
from service.runtime.database_identity import ensure_stamp
from service.runtime.progress import Reporter, SilentReporter
from service.settings import Settings
from service.training.unfinished import remove_unfinished

YAHOO_WATCHLIST = ("AAPL", "GOOG", "IBM", "META", "MSFT")
"""Default watchlist of a new live database: the sample's companies under today's symbols."""

TRAINING_KEPT_SECONDS = 60.0
"""How long the training process is kept for the next training: of another group, or of the next week of a replay."""


@contextmanager
def open_service(settings: Settings, reporter: Reporter | None = None) -> Iterator[ServiceContext]:
    """Open the service's parts on a migrated and stamped database for a block.

    Args:
        settings: The settings in force.
        reporter: Receives events; None = no reports.

    Raises:
        SettingsError: the source, network, a calendar or START is invalid.
        DatabaseError: the database cannot be opened, or belongs to another source or clock.
    """
    network_of(settings)
    source = make_source(settings.source, Path(settings.data_dir) / "yahoo-cache", settings.yahoo_standin_url)
    machine = DatabaseClock()
    market: MarketClock = ReplayMarketClock()
    if settings.market_clock.mode == "system":
        market = SystemMarketClock(machine)
    database = open_database(settings, source, market)
    with database.reading() as connection:
        now, machine_now = market.now(connection), machine.now(connection)
    remove_unfinished(settings.artifact_dir, machine_now)
    log = settings.data_dir.absolute() / "workers.log"
    _make_data_folder(log.parent)
    context = ServiceContext(
        settings,
        database,
        source,
        machine,
        market,
        Calendars(settings, now),
        WarmWorker(log=log),
        training_executor(settings, log, TRAINING_KEPT_SECONDS),
        reporter or SilentReporter(),
    )
    try:
        yield context
    finally:
        context.child.close()
        context.warm.close()
        database.close()


def _make_data_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the data folder {folder} cannot be created ({error.strerror}); set TPLUS_DATA_DIR to another one"
        ) from error


def open_database(settings: Settings, source: PriceSource, market: MarketClock) -> Database:
    """Migrate and stamp the database; a new one gets its watchlist, each the reference series of the settings."""
    database = Database(settings.url, settings.lease_seconds)
    try:
        migrate.upgrade(database)
        record = source.record()  # before the transaction: reading a folder of a thousand files takes seconds
        faults = source.faults() if record is None else ()
        with database.transaction(at_start=True) as connection:
            migrate.lock_migrations(connection)
            lock_changes(connection)
            is_new = connection.execute(select(stamp.c.id)).one_or_none() is None
            now = DatabaseClock().now(connection)
            ensure_stamp(connection, source.name, settings.market_clock, now, record, faults)
            if is_new:
                symbols = normalize_symbols(connection, settings.symbols) or _default_watchlist(source)
                check_watchlist_size(connection, symbols, settings.max_symbols)
                add_symbols(connection, symbols, market.now(connection), settings.group_of)
            if settings.api_key_file is not None:
                scopes = frozenset(settings.api_key_scopes)
                store_key_file(connection, settings.api_key_file, scopes, DatabaseClock().now(connection))
            _set_references(connection, settings, market)
            _set_calendars(connection, settings, market.now(connection))
    except BaseException:
        database.close()
        raise
    return database


def _default_watchlist(source: PriceSource) -> tuple[str, ...]:
    if source.name == "sample":
        return source.symbols()
    return YAHOO_WATCHLIST if source.name == "yahoo" else ()


def _set_references(connection: Connection, settings: Settings, market: MarketClock) -> None:
    """Set the reference series to those of the settings."""
    names = [parse_reference(item).symbol for item in settings.reference_symbols]
    connection.execute(update(instruments).where(instruments.c.symbol.not_in(names)).values(reference=False))
    if names:
        add_symbols(connection, names, market.now(connection), settings.group_of, reference=True)


def _set_calendars(connection: Connection, settings: Settings, now: datetime) -> None:
    """Set the calendars of the settings.

    Raises:
        SettingsError: a calendar does not exist.
    """
    for symbol, name in settings.calendar_of.items():
        try:
            calendar = get_calendar(name, now.date())
        except CalendarError as error:
            raise SettingsError(f"TPLUS_CALENDARS={symbol}={name} cannot be used: {error}") from error
        query = update(instruments).where(instruments.c.symbol == symbol, instruments.c.calendar != calendar.name)
        if connection.execute(query.values(calendar=calendar.name)).rowcount:
            raise_changes(connection, [symbol])


def require_watchlist(connection: Connection) -> None:
    """Raise if the watchlist is empty.

    Raises:
        SettingsError: the watchlist is empty.
    """
    if connection.execute(select(instruments.c.symbol).where(instruments.c.active).limit(1)).one_or_none() is None:
        raise SettingsError("the watchlist is empty; add symbols with `tplus symbols add AAPL MSFT`")
