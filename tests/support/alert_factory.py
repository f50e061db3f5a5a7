"""Subscriptions and deliveries for tests of alerts."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from service.alerts.encryption import Encryption
from service.alerts.outbox import AlertEvent, Instants, emit
from service.alerts.subscriptions import KINDS, Added, NewSubscription, add_subscription
from service.alerts.targets.parse import Target
from service.db.session import Database
from service.db.tables import alert_deliveries
from service.vocabulary import AlertKind, AlertScope, TargetKind

AT = datetime(2026, 1, 2, 22, tzinfo=UTC)
MARKET = datetime(2018, 6, 1, 21, 30, tzinfo=UTC)
WEBHOOK = Target(TargetKind.WEBHOOK, "https://example.com/hook?token=hidden", "https://example.com/...")


def subscribe(
    database: Database,
    folder: Path,
    *kinds: AlertKind,
    scope: tuple[AlertScope, str | None] = (AlertScope.ALL, None),
    interval: int = 95,
    target: Target = WEBHOOK,
) -> Added:
    """Add a subscription; without kinds it wants all."""
    new = NewSubscription("night shift", kinds or KINDS, *scope, interval, target)
    with database.transaction() as connection:
        return add_subscription(connection, new, Encryption(folder / "alerts.key"), "a test", AT)


def publish(database: Database, *events: AlertEvent, at: Instants | None = None) -> int:
    """Emit events in a transaction; return the number of deliveries."""
    with database.transaction() as connection:
        return emit(connection, events, at or Instants(MARKET, AT))


def numbered(number: int, kind: AlertKind = AlertKind.SOURCE_DOWN) -> AlertEvent:
    """Return an event about the calendar XNYS."""
    return AlertEvent(kind, f"XNYS:{number}", f"event {number}", {"number": number}, calendar="XNYS")


def deliveries(database: Database) -> list[Any]:
    """Return the rows of all deliveries, oldest first."""
    with database.reading() as connection:
        return list(connection.execute(select(alert_deliveries).order_by(alert_deliveries.c.id)))


def bodies(database: Database) -> list[dict[str, Any]]:
    """Return the bodies of all deliveries, oldest first."""
    return [json.loads(row.body) for row in deliveries(database)]


def events(database: Database, kind: AlertKind) -> list[dict[str, Any]]:
    """Return the events of a kind in all deliveries, oldest first."""
    return [event for body in bodies(database) if body["type"] == kind for event in body["data"]["events"]]
