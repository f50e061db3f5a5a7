"""Reads subscriptions with the counts of their deliveries."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from service.api.common.rows import columns_of, read_rows
from service.db.tables import alert_deliveries, alert_subscriptions
from service.errors import NotFound


class SubscriptionRow(NamedTuple):
    """A row of `alert_subscriptions`, without its encrypted columns."""

    id: int
    name: str
    kinds: list[str]
    scope_kind: str
    scope: str | None
    interval: int
    target_kind: str
    target_shown: str
    created_at: datetime
    created_by: str


class _CountRow(NamedTuple):
    subscription_id: int
    state: str
    deliveries: int


def read_subscriptions(connection: Connection, before: int | None, limit: int) -> list[SubscriptionRow]:
    """Return subscriptions, newest first.

    Args:
        connection: Any connection.
        before: Ids below this only (exclusive); None = from the newest.
        limit: Most rows.
    """
    table = alert_subscriptions.c
    query = select(*columns_of(alert_subscriptions, SubscriptionRow)).where(table.removed_at.is_(None))
    if before is not None:
        query = query.where(table.id < before)
    return read_rows(connection, SubscriptionRow, query.order_by(table.id.desc()).limit(limit))


def read_subscription(connection: Connection, number: int) -> SubscriptionRow:
    """Return one subscription.

    Raises:
        NotFound: there is none of that id.
    """
    found = read_subscriptions(connection, None if number == _MAX_ID else number + 1, 1)
    if not found or found[0].id != number:
        raise NotFound(f"there is no alert subscription {number}; see /v1/subscriptions")
    return found[0]


def read_delivery_figures(connection: Connection, numbers: list[int]) -> dict[int, dict[str, Any]]:
    """Return pending, delivered, dead and last_error by subscription."""
    figures: dict[int, dict[str, Any]] = {
        number: {"pending": 0, "delivered": 0, "dead": 0, "last_error": None} for number in numbers
    }
    table = alert_deliveries.c
    counts = select(table.subscription_id, table.state, func.count()).where(table.subscription_id.in_(numbers))
    for row in read_rows(connection, _CountRow, counts.group_by(table.subscription_id, table.state)):
        figures[row.subscription_id][row.state] = row.deliveries
    newest = (
        select(func.max(table.id))
        .where(table.subscription_id.in_(numbers), table.error.is_not(None), table.state.in_(("pending", "dead")))
        .group_by(table.subscription_id)
    )
    errors = select(table.subscription_id, table.error).where(table.id.in_(newest))
    for number, error in connection.execute(errors):
        figures[number]["last_error"] = error
    return figures


_MAX_ID = 2**63 - 1
