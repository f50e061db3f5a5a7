"""The outbox: events and their deliveries, written in the transaction that publishes what they are about.

An event has a key and is written once. The new events of one transaction that a subscription wants become one
delivery per kind, with its body fixed from then on.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from service.alerts.subscriptions import Subscription, read_subscriptions
from service.db.change_counters import lock_changes
from service.db.tables import alert_deliveries, alert_events, instruments, stamp
from service.db.upsert import insert_for
from service.vocabulary import AlertKind, AlertScope, DeliveryState, Mode

BUNDLE = 100
"""Most events in one delivery."""

_AT_ONCE = 200
"""Events in one INSERT: a database limits its parameters."""


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """An event.

    Attributes:
        kind: Its kind.
        key: Unique with the kind; the same change has the same key, however often it is detected.
        message: One sentence for people.
        detail: Figures for programs.
        symbol: The symbol, if it is about one.
        group: The group, if it is about one.
        calendar: The calendar, if it is about one.
        interval: The level of the interval that a close left.
        subscription_id: The one subscription it is for; None for all that want it.
    """

    kind: AlertKind
    key: str
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    symbol: str | None = None
    group: str | None = None
    calendar: str | None = None
    interval: int | None = None
    subscription_id: int | None = None


@dataclass(frozen=True, slots=True)
class Instants:
    """Market time and machine time of an event, both aware UTC."""

    market_at: datetime
    machine_at: datetime


def emit(connection: Connection, events: Sequence[AlertEvent], at: Instants) -> int:
    """Write the new events that some subscription wants, and their deliveries; return the number of deliveries.

    Args:
        connection: The write transaction that publishes what the events are about. It holds the change counter if it
            has changed other rows than its run's.
        events: The events; those whose key exists are left out.
        at: When they happen.
    """
    subscriptions = read_subscriptions(connection, *{event.kind for event in events})
    if not subscriptions:
        return 0
    coverage = _Coverage(connection)
    unique = {_key(event): event for event in reversed(events)}
    wanted = {
        each.id: [event for event in reversed(unique.values()) if coverage.includes(each, event)]
        for each in subscriptions
    }
    chosen = {_key(event): event for matched in wanted.values() for event in matched}
    if not chosen:
        return 0
    lock_changes(connection)  # deliveries are numbered in the order of their commits
    mode = mode_of(connection)
    new = _insert_events(connection, list(chosen.values()), at, mode)
    deliveries = [
        new_delivery(subscription, kind, bundle, at, mode)
        for subscription in subscriptions
        for kind, bundle in _bundles([event for event in wanted[subscription.id] if _key(event) in new])
    ]
    if deliveries:
        connection.execute(insert(alert_deliveries), deliveries)
    return len(deliveries)


def new_delivery(
    subscription: Subscription, kind: AlertKind, events: Sequence[AlertEvent], at: Instants, mode: Mode
) -> dict[str, Any]:
    """Return the row of a delivery that is due at once."""
    body = {
        "type": str(kind),
        "timestamp": _text(at.machine_at),
        "data": {
            "mode": str(mode),
            "market_time": _text(at.market_at),
            "subscription": {"id": subscription.id, "name": subscription.name},
            "events": [_shown(event) for event in events],
        },
    }
    return {
        "subscription_id": subscription.id,
        "message_id": f"msg_{uuid.uuid4().hex}",
        "kind": kind,
        "events": len(events),
        "body": json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_text),
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "next_attempt_at": at.machine_at,
        "token": 0,
        "created_at": at.machine_at,
    }


def new_test_delivery(connection: Connection, subscription: Subscription, at: Instants) -> dict[str, Any]:
    """Return the row of a test message."""
    event = AlertEvent(AlertKind.TEST, uuid.uuid4().hex, f"a test of the subscription {subscription.name}")
    return new_delivery(subscription, AlertKind.TEST, [event], at, mode_of(connection))


def queue_test(connection: Connection, subscription: Subscription, at: Instants) -> str:
    """Put a test message into the outbox and return its message id."""
    lock_changes(connection)
    row = new_test_delivery(connection, subscription, at)
    connection.execute(insert(alert_deliveries).values(row))
    return str(row["message_id"])


def mode_of(connection: Connection) -> Mode:
    """Return the mode of this database's events: `live` or `replay`."""
    clock = connection.execute(select(stamp.c.clock_mode)).scalar_one_or_none()
    return Mode.REPLAY if clock == "replay" else Mode.LIVE


class _Coverage:
    """Which events a subscription covers; instruments are read once, and only if a scope needs them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: Sequence[Any] | None = None
        self._names: dict[int, frozenset[tuple[str, str]]] = {}

    def includes(self, subscription: Subscription, event: AlertEvent) -> bool:
        """Return whether a subscription receives an event."""
        if not subscription.wants((event.kind,)) or event.subscription_id not in (None, subscription.id):
            return False
        if event.interval is not None and event.interval != subscription.interval:
            return False
        if subscription.scope_kind == AlertScope.ALL:
            return True
        names = self._names_of(subscription)
        if event.symbol is not None:
            return ("symbol", event.symbol) in names
        return ("group", event.group) in names or ("calendar", event.calendar) in names

    def _names_of(self, subscription: Subscription) -> frozenset[tuple[str, str]]:
        """Return the symbols that a subscription covers, with their groups and calendars."""
        if self._rows is None:
            query = select(instruments.c.symbol, instruments.c.group, instruments.c.calendar)
            self._rows = self._connection.execute(query).all()
        if subscription.id not in self._names:
            own = [row for row in self._rows if subscription.covers(row.symbol, row.group)]
            self._names[subscription.id] = frozenset(
                pair
                for row in own
                for pair in (("symbol", row.symbol), ("group", row.group), ("calendar", row.calendar))
            )
        return self._names[subscription.id]


def _insert_events(connection: Connection, events: list[AlertEvent], at: Instants, mode: Mode) -> set[str]:
    """Insert events and return the keys of those that are new."""
    rows = [
        {
            "key": _key(event),
            "kind": event.kind,
            "mode": mode,
            "symbol": event.symbol,
            "group": event.group,
            "calendar": event.calendar,
            "message": event.message,
            "detail": json.loads(json.dumps(dict(event.detail), default=_text)),
            "market_at": at.market_at,
            "recorded_at": at.machine_at,
        }
        for event in events
    ]
    new: set[str] = set()
    for start in range(0, len(rows), _AT_ONCE):
        statement = insert_for(connection, alert_events).values(rows[start : start + _AT_ONCE])
        statement = statement.on_conflict_do_nothing(index_elements=["key"]).returning(alert_events.c.key)
        new.update(connection.execute(statement).scalars())
    return new


def _bundles(events: list[AlertEvent]) -> list[tuple[AlertKind, list[AlertEvent]]]:
    """Return the events by kind, at most `BUNDLE` together, in their order."""
    kinds = list(dict.fromkeys(event.kind for event in events))
    by_kind = {kind: [event for event in events if event.kind == kind] for kind in kinds}
    return [
        (kind, own[start : start + BUNDLE]) for kind, own in by_kind.items() for start in range(0, len(own), BUNDLE)
    ]


def _key(event: AlertEvent) -> str:
    return f"{event.kind}:{event.key}"


def _shown(event: AlertEvent) -> dict[str, Any]:
    names = {"symbol": event.symbol, "group": event.group, "calendar": event.calendar}
    given = {name: value for name, value in names.items() if value is not None}
    return {"key": _key(event), "message": event.message, **given, **event.detail}


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no JSON form")
