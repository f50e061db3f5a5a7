"""Instruments on the watchlist or used as inputs, and the sessions of their calendars."""

from sqlalchemy import Boolean, Column, Date, Integer, String, Table, Text, false

from service.db.base import metadata
from service.db.types import Instant

instruments = Table(
    "instruments",
    metadata,
    Column("symbol", String(40), primary_key=True),
    Column("name", String(200), nullable=True),
    Column("instrument_type", String(30), nullable=False),
    Column("group", String(40), nullable=False),
    Column("calendar", String(20), nullable=False),
    Column("currency", String(20), nullable=True),
    Column("active", Boolean, nullable=False, comment="on the watchlist: forecast and scored"),
    Column("reference", Boolean, nullable=False, comment="pulled always, used as an input"),
    Column("basis", Integer, nullable=False),
    Column(
        "calendar_approximate",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="a default, or fitted to the rows",
    ),
    Column(
        "utc_dates",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="the source dates a session by its local midnight in UTC",
    ),
    Column("state", String(20), nullable=False, comment="new, ok, suspect, unknown, failing"),
    Column("state_reason", Text, nullable=True),
    Column("state_since", Instant, nullable=False, comment="market time"),
    Column("added_at", Instant, nullable=False, comment="market time"),
    Column("chosen_group", String(40), nullable=True, comment="set by a request, else that of the type"),
    Column("chosen_calendar", String(20), nullable=True, comment="set by a request, else that of the source"),
    Column("position", Integer, nullable=True, comment="order in which the symbols were added"),
    Column("first_session", Date, nullable=True),
    Column("last_session", Date, nullable=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("calendar", String(20), primary_key=True),
    Column("session", Date, primary_key=True),
    Column("open_at", Instant, nullable=False),
    Column("close_at", Instant, nullable=False),
    Column("state", String(20), nullable=False, comment="expected, or closed where it turned out so"),
    Column("approximate", Boolean, nullable=False, comment="from the weekday fallback"),
    sqlite_with_rowid=False,
)
