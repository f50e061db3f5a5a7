"""Reasons of database faults without paths, hosts and users."""

import psycopg
import pytest
from sqlalchemy.exc import ArgumentError, OperationalError

from service.db.fault_reason import UNNAMED, fault_reason
from service.db.session import Database


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('connection to server at "10.1.2.3", port 5432 failed: Connection refused', "connection refused"),
        ('connection failed: FATAL: password authentication failed for user "me"', "its login was refused"),
        ('FATAL: no pg_hba.conf entry for host "10.1.2.3", user "me", database "x"', "its login was refused"),
        ('FATAL: database "x" does not exist', "its login or its name is unknown"),
        ('could not extend file "base/5/1259": No space left on device', "its disk is full"),
        ("FATAL: the database system is starting up", "it is starting up"),
        ("server closed the connection unexpectedly", "connection lost"),
        ("connection timeout expired", "it does not answer in time"),
        ("canceling statement due to statement timeout", "it does not answer in time"),
        ("canceling statement due to lock timeout", "another transaction was in the way"),
        ("deadlock detected", "another transaction was in the way"),
        (
            "terminating connection due to idle-in-transaction timeout",
            "a process stalled in a transaction, which was ended",
        ),
        ("terminating connection due to administrator command", "it is shutting down or restarting"),
        ("something about /var/lib/postgresql of user me", UNNAMED),
    ],
)
def test_postgresqls_messages_are_put_in_other_words(message: str, reason: str) -> None:
    assert fault_reason(OperationalError("SELECT 1", {}, psycopg.OperationalError(message))) == reason


def test_sqlites_messages_are_kept(tmp_path: pytest.TempPathFactory) -> None:
    database = Database(f"sqlite:///{tmp_path}")
    with pytest.raises(OperationalError) as caught, database.reading():
        pass
    assert fault_reason(caught.value) == "unable to open database file"
    database.close()


def test_an_error_without_a_driver_has_no_reason() -> None:
    assert fault_reason(ArgumentError("postgresql://me@host")) == UNNAMED
