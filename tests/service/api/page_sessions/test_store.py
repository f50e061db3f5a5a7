"""Page sessions in the database: a sign-out and a renewal at the same time."""

import threading
from datetime import timedelta
from time import monotonic

from sqlalchemy import func, select, text

from service.access.keys import NewKey, create_key, lock_keys
from service.access.page_sessions import end_session, open_session
from service.api.common.dependencies import Reader
from service.api.page_sessions import store
from service.clock import DatabaseClock
from service.db.session import Database
from service.db.tables import page_sessions
from service.settings import Settings
from service.vocabulary import Scope

DEADLINE_SECONDS = 20.0


def wait_for_a_waiting_lock(database: Database) -> None:
    """Return once a transaction waits for another one."""
    end = monotonic() + DEADLINE_SECONDS
    while monotonic() < end:
        with database.reading() as connection:
            if connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one():
                return
    raise AssertionError("nothing waited")


def test_a_renewal_during_a_sign_out_leaves_no_session(postgres_database: Database) -> None:
    reader = Reader(Settings(), postgres_database)
    with postgres_database.transaction() as connection:
        now = DatabaseClock().now(connection)
        key, _ = create_key(connection, NewKey("notebook", frozenset({Scope.READ})), now)
        session, _ = open_session(connection, key, now - timedelta(hours=7))
    renewed: list[store.Opened | None] = []
    renewal = threading.Thread(target=lambda: renewed.append(store.renew(reader, session.id)))
    with postgres_database.transaction() as connection:
        lock_keys(connection)
        assert end_session(connection, session.id, DatabaseClock().now(connection))
        renewal.start()
        wait_for_a_waiting_lock(postgres_database)
    renewal.join(DEADLINE_SECONDS)
    assert renewed == [None]
    with postgres_database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(page_sessions)).scalar_one() == 1
