"""Deliveries: claimed under a lease, in order per subscription, retried with backoff, then dead.

A delivery waits until every earlier one of its subscription is delivered, dead or dropped. A claim counts as an
attempt: a process that is killed while it sends has used one, and the message is sent again when the lease ends.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from service.alerts.targets.result import SendResult
from service.db.tables import alert_deliveries, alert_events, alert_subscriptions
from service.errors import NotFound
from service.vocabulary import DeliveryState, TargetKind

RETRY_SECONDS: tuple[float, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Waits between the attempts, as Standard Webhooks recommends them: ten attempts within three days."""

JITTER = 0.2
"""Largest share that a wait is longer or shorter, so that a receiver that comes back is not met by all at once."""

LEASE = timedelta(seconds=60)
"""How long a claim holds: longer than an attempt may take."""

KEPT = timedelta(days=90)
"""How long delivered and dropped deliveries, and the keys of events, are kept."""

MAX_ERROR = 500
"""Most characters of a stored error."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process may send.

    Attributes:
        id: Its number.
        token: The claim; a result must name it.
        message_id: The same in every attempt.
        body: The JSON document.
        attempt: Number of this attempt, from 1.
        target_kind: How it is sent.
        target_encrypted: The target.
        secret_encrypted: The secret; None for Apprise.
    """

    id: int
    token: int
    message_id: str
    body: str
    attempt: int
    target_kind: TargetKind
    target_encrypted: str
    secret_encrypted: str | None


def has_due(connection: Connection, now: datetime) -> bool:
    """Return whether a delivery may be due: a cheap look before a write transaction."""
    return connection.execute(_due(now).limit(1)).first() is not None


def claim(connection: Connection, now: datetime, lease: timedelta = LEASE) -> Claimed | None:
    """Claim the next due delivery; None if there is none.

    Args:
        connection: An open write transaction.
        now: Machine time.
        lease: How long the claim holds.
    """
    # Locked rows are skipped: another scheduler claims them in this moment.
    locked = _due(now).limit(1).with_for_update(skip_locked=True, of=alert_deliveries)
    row = connection.execute(locked).one_or_none()
    if row is None:
        return None
    owner = connection.execute(select(alert_subscriptions).where(alert_subscriptions.c.id == row.subscription_id)).one()
    if owner.target_encrypted is None:
        dropped = {"state": DeliveryState.DROPPED, "finished_at": now, "error": "the subscription was removed"}
        connection.execute(update(alert_deliveries).where(alert_deliveries.c.id == row.id).values(dropped))
        return None
    values = {"attempts": row.attempts + 1, "token": row.token + 1, "lease_until": now + lease}
    connection.execute(update(alert_deliveries).where(alert_deliveries.c.id == row.id).values(values))
    return Claimed(
        row.id,
        row.token + 1,
        row.message_id,
        row.body,
        row.attempts + 1,
        TargetKind(owner.target_kind),
        owner.target_encrypted,
        owner.secret_encrypted,
    )


def record_result(
    connection: Connection,
    claimed: Claimed,
    result: SendResult,
    now: datetime,
    retry_seconds: Sequence[float] = RETRY_SECONDS,
) -> DeliveryState | None:
    """Record the result of an attempt; return the new state, None if the claim was lost.

    Args:
        connection: An open write transaction.
        claimed: The delivery.
        result: What sending it gave.
        now: Machine time.
        retry_seconds: Waits between attempts.
    """
    values: dict[str, Any] = {"lease_until": None, "error": _stored_error(result.error)}
    if result.error is None:
        values |= {"state": DeliveryState.DELIVERED, "finished_at": now}
    elif result.is_final or claimed.attempt > len(retry_seconds):
        values |= {"state": DeliveryState.DEAD, "finished_at": now}
    else:
        wait = retry_seconds[claimed.attempt - 1] * (1 + JITTER * (2 * random.random() - 1))
        values |= {
            "state": DeliveryState.PENDING,
            "next_attempt_at": now + timedelta(seconds=max(wait, result.retry_after)),
        }
    mine = (
        alert_deliveries.c.id == claimed.id,
        alert_deliveries.c.token == claimed.token,
        alert_deliveries.c.state == DeliveryState.PENDING,
    )
    if connection.execute(update(alert_deliveries).where(*mine).values(values)).rowcount != 1:
        return None
    return DeliveryState(values["state"])


def _stored_error(error: str | None) -> str | None:
    """Return an error on one line; a receiver may have caused any character of it."""
    if error is None:
        return None
    printable = "".join(each if each.isprintable() else " " for each in error)
    return " ".join(printable.split())[:MAX_ERROR]


def list_dead(connection: Connection, limit: int = 1_000) -> list[Any]:
    """Return the dead letters with the names of their subscriptions, oldest first."""
    query = (
        select(alert_deliveries, alert_subscriptions.c.name)
        .join(alert_subscriptions, alert_subscriptions.c.id == alert_deliveries.c.subscription_id)
        .where(alert_deliveries.c.state == DeliveryState.DEAD)
        .order_by(alert_deliveries.c.id)
        .limit(limit)
    )
    return list(connection.execute(query))


def retry_dead(connection: Connection, numbers: Collection[int] | None, now: datetime) -> list[int]:
    """Make dead letters due again, with all their attempts; return their numbers.

    Args:
        connection: An open write transaction.
        numbers: The dead letters; None for all whose subscription still exists.
        now: Machine time.

    Raises:
        NotFound: one is not a dead letter of a subscription that exists.
    """
    alive = select(alert_subscriptions.c.id).where(alert_subscriptions.c.removed_at.is_(None))
    dead = select(alert_deliveries.c.id).where(
        alert_deliveries.c.state == DeliveryState.DEAD, alert_deliveries.c.subscription_id.in_(alive)
    )
    if numbers is not None:
        dead = dead.where(alert_deliveries.c.id.in_(sorted(set(numbers))))
    found = sorted(connection.execute(dead).scalars())
    missing = sorted(set(numbers or ()) - set(found))
    if missing:
        raise NotFound(f"there is no dead letter {missing[0]}; list them with `tplus alerts dead`")
    values = {
        "state": DeliveryState.PENDING, "attempts": 0, "next_attempt_at": now, "finished_at": None, "lease_until": None,
    }  # fmt: skip
    if found:
        connection.execute(update(alert_deliveries).where(alert_deliveries.c.id.in_(found)).values(values))
    return found


def prune(connection: Connection, now: datetime) -> None:
    """Delete old deliveries that were delivered or dropped, and old events; dead letters stay."""
    oldest = now - KEPT
    done = (DeliveryState.DELIVERED, DeliveryState.DROPPED)
    table = alert_deliveries.c
    connection.execute(delete(alert_deliveries).where(table.state.in_(done), table.finished_at < oldest))
    connection.execute(delete(alert_events).where(alert_events.c.recorded_at < oldest))


def _due(now: datetime) -> Any:
    earlier = alert_deliveries.alias("earlier")
    first = (
        select(func.min(earlier.c.id))
        .where(
            earlier.c.subscription_id == alert_deliveries.c.subscription_id, earlier.c.state == DeliveryState.PENDING
        )
        .scalar_subquery()
    )
    table = alert_deliveries.c
    return (
        select(alert_deliveries)
        .where(
            table.state == DeliveryState.PENDING,
            table.next_attempt_at <= now,
            or_(table.lease_until.is_(None), table.lease_until <= now),
            table.id == first,
        )
        .order_by(table.next_attempt_at, table.id)
    )
