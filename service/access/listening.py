"""Listening for other machines needs a valid key, unless open or closed reads are set outright."""

import threading
from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from service.access.key_file import store_key_file
from service.access.keys import valid_keys
from service.clock import DatabaseClock
from service.db.revision import HEAD
from service.db.session import Database
from service.errors import NoValidKey, TplusError
from service.settings import Settings, is_loopback

CHECK_SECONDS = 1.0
"""Real seconds between two looks at a database that is not there yet."""


def needs_key(settings: Settings) -> bool:
    """Return whether the API may only be served with a valid key in the database."""
    return settings.open_reads is None and not is_loopback(settings.host)


def check_keys(settings: Settings, database: Database) -> bool:
    """Store the key of `TPLUS_API_KEY_FILE`, and check that the API may be served.

    Args:
        settings: The settings.
        database: The database.

    Returns:
        False while it is not known: the database is not there, or not at this version's migration.

    Raises:
        NoValidKey: other machines could reach the API, and no key is valid.
        SettingsError: the key file cannot be used.
    """
    if not _is_migrated(database):
        return False
    clock = DatabaseClock()
    try:
        if settings.api_key_file is not None:
            with database.transaction() as connection:
                scopes = frozenset(settings.api_key_scopes)
                store_key_file(connection, settings.api_key_file, scopes, clock.now(connection))
        if needs_key(settings):
            with database.reading() as connection:
                is_missing = not valid_keys(connection, clock.now(connection))
            if is_missing:
                raise NoValidKey(
                    f"TPLUS_HOST={settings.host} lets other machines reach the API, and the database has no valid key; "
                    "make one with `tplus keys create NAME --scopes read`, or set TPLUS_OPEN_READS=true for reads "
                    "without a key"
                )
    except SQLAlchemyError:
        return False
    return True


class KeyWatch:
    """Checks keys as soon as the database is there; until then reads are closed.

    Args:
        settings: The settings.
        stop: Stops the server; called in another thread if it may not be served.
        interval: Real seconds between two looks.
    """

    def __init__(self, settings: Settings, stop: Callable[[], None], interval: float = CHECK_SECONDS) -> None:
        self._settings, self._stop, self._interval = settings, stop, interval
        self._ended = threading.Event()
        self._stopped_by: TplusError | None = None

    def start(self) -> None:
        """Check now, and again in a thread while the database is not there.

        Raises:
            NoValidKey: it may not be served.
            SettingsError: the key file cannot be used.
        """
        if self._settings.api_key_file is None and not needs_key(self._settings):
            return
        if not self._check():
            threading.Thread(target=self._watch, name="key watch", daemon=True).start()

    def end(self) -> None:
        """Stop watching.

        Raises:
            TplusError: the server was stopped because it may not be served.
        """
        self._ended.set()
        if self._stopped_by is not None:
            raise self._stopped_by

    def _check(self) -> bool:
        database = Database(self._settings.url)
        try:
            return check_keys(self._settings, database)
        finally:
            database.close()

    def _watch(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                if self._check():
                    return
            except TplusError as error:
                self._stopped_by = error
                self._stop()
                return


def _is_migrated(database: Database) -> bool:
    try:
        with database.reading() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except SQLAlchemyError:
        return False
    return bool(found == HEAD)
