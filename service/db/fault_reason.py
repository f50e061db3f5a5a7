"""Says why a database failed without naming its path, host, user or database: for answers that others can read."""

import re

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from service.db.session import driver_message

_REASONS: tuple[tuple[str, str], ...] = (
    (r"deadlock detected|could not serialize|lock.timeout", "another transaction was in the way"),
    (r"idle-in-transaction timeout", "a process stalled in a transaction, which was ended"),
    (r"password authentication failed|no pg_hba\.conf entry|no password supplied|28[0P]\d\d", "its login was refused"),
    (r'(role|database) ".*" does not exist', "its login or its name is unknown"),
    (r"connection refused", "connection refused"),
    (r"time(d )?out|timeout expired|canceling statement due to", "it does not answer in time"),
    (r"could not translate host name|failed to resolve host|name or service not known", "its host is unknown"),
    (r"starting up", "it is starting up"),
    (r"shutting down|terminating connection|in recovery mode", "it is shutting down or restarting"),
    (r"server closed the connection|connection .*(lost|reset|closed)|consuming input failed|eof detected",
     "connection lost"),
    (r"too many (clients|connections)|remaining connection slots", "it has too many connections"),
    (r"no space left|could not extend file|disk full", "its disk is full"),
    (r"read-only", "it is read-only"),
    (r"ssl|certificate", "its TLS connection failed"),
)  # fmt: skip
"""Patterns in the messages of PostgreSQL and its driver -> what is said of them."""

UNNAMED = "the log has the reason"


def fault_reason(error: SQLAlchemyError) -> str:
    """Return why a database failed, as a part of a sentence.

    SQLite's messages are fixed texts without names of files. PostgreSQL's name hosts, users and files: only known ones
    are repeated, in other words.
    """
    if not isinstance(error, DBAPIError) or error.orig is None:
        return UNNAMED
    message = driver_message(error)
    if hasattr(error.orig, "sqlite_errorname"):
        return message
    for pattern, reason in _REASONS:
        if re.search(pattern, message, re.IGNORECASE):
            return reason
    return UNNAMED


def unexpected_reason(error: Exception) -> str:
    """Return what a defect raised, for an answer: the text of a database error has statements and values."""
    reason = fault_reason(error) if isinstance(error, SQLAlchemyError) else error
    return f"{type(error).__name__}: {reason}"
