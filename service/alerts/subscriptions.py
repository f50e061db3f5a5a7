"""Alert subscriptions: what is wanted, for which symbols, and where it goes."""

import base64
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from service.alerts.encryption import Encryption, add_key
from service.alerts.targets.parse import Target
from service.db.change_counters import lock_changes
from service.db.tables import alert_coverage, alert_deliveries, alert_subscriptions, instruments
from service.errors import NotFound, TplusError
from service.vocabulary import AlertKind, AlertScope, DeliveryState, TargetKind

KINDS: tuple[AlertKind, ...] = tuple(kind for kind in AlertKind if kind not in (AlertKind.SOURCE_UP, AlertKind.TEST))
"""Kinds that a subscription may name; `source_up` comes with `source_down`."""

INTERVALS = (50, 80, 95)
"""Intervals that a close can leave, in percent."""

MAX_SUBSCRIPTIONS = 200
"""Most subscriptions at a time: each is looked at in every publishing transaction."""

_SECRET_BYTES = 32


class SubscriptionError(TplusError):
    """A subscription cannot be added; the message says why."""


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """A subscription to add.

    Attributes:
        name: For people.
        kinds: Kinds of events.
        scope_kind: What it covers.
        scope: The group or symbol; None for all.
        interval: The interval that a close has to leave, in percent.
        target: The checked target.
    """

    name: str
    kinds: tuple[AlertKind, ...]
    scope_kind: AlertScope
    scope: str | None
    interval: int
    target: Target


@dataclass(frozen=True, slots=True)
class Subscription:
    """A stored subscription, without its secrets.

    Attributes:
        id: Its number.
        name: For people.
        kinds: Kinds of events.
        scope_kind: What it covers.
        scope: The group or symbol; None for all.
        interval: The interval that a close has to leave, in percent.
        target_kind: How alerts are sent.
        target_shown: The target without its secret parts.
        created_at: Machine time.
        created_by: Who added it.
    """

    id: int
    name: str
    kinds: tuple[AlertKind, ...]
    scope_kind: AlertScope
    scope: str | None
    interval: int
    target_kind: TargetKind
    target_shown: str
    created_at: datetime
    created_by: str

    def wants(self, kinds: Collection[AlertKind]) -> bool:
        """Return whether it wants any of some kinds."""
        wanted = {AlertKind.SOURCE_DOWN if kind == AlertKind.SOURCE_UP else kind for kind in kinds}
        return not wanted.isdisjoint(self.kinds)

    def covers(self, symbol: str, group: str) -> bool:
        """Return whether it covers a symbol of a group."""
        return self.scope_kind == AlertScope.ALL or self.scope == (
            symbol if self.scope_kind == AlertScope.SYMBOL else group
        )


@dataclass(frozen=True, slots=True)
class Added:
    """A subscription that was added.

    Attributes:
        subscription: It.
        secret: The secret that signs its webhooks, shown this once; None for Apprise.
    """

    subscription: Subscription
    secret: str | None


def add_subscription(
    connection: Connection, new: NewSubscription, encryption: Encryption, actor: str, at: datetime
) -> Added:
    """Add a subscription.

    Args:
        connection: An open write transaction.
        new: The subscription.
        encryption: Encrypts its target and secret.
        actor: Who adds it.
        at: Machine time.

    Raises:
        SubscriptionError: a kind, interval or scope does not fit, or there are too many subscriptions.
        KeyFileError: the key file cannot be used.
    """
    lock_changes(connection)  # neither beyond the limit, nor with a key that is replaced in this moment
    _check(connection, new)
    secret = _new_secret() if new.target.kind == TargetKind.WEBHOOK else None
    values = {
        "name": new.name,
        "kinds": [str(kind) for kind in dict.fromkeys(new.kinds)],
        "scope_kind": new.scope_kind,
        "scope": new.scope,
        "interval": new.interval,
        "target_kind": new.target.kind,
        "target_shown": new.target.shown,
        "target_encrypted": encryption.encrypt(new.target.url),
        "secret_encrypted": None if secret is None else encryption.encrypt(secret),
        "created_at": at,
        "created_by": actor,
    }
    key = connection.execute(insert(alert_subscriptions).values(values)).inserted_primary_key
    assert key is not None
    return Added(find_subscription(connection, int(key[0])), secret)


def remove_subscription(connection: Connection, number: int, at: datetime) -> Subscription:
    """Remove a subscription: its target and secret are deleted, its pending deliveries dropped.

    Raises:
        NotFound: there is no such subscription.
    """
    lock_changes(connection)  # a score batch that counts for it ends first, and leaves nothing behind
    subscription = find_subscription(connection, number)
    connection.execute(
        update(alert_subscriptions)
        .where(alert_subscriptions.c.id == number)
        .values(removed_at=at, target_encrypted=None, secret_encrypted=None)
    )
    connection.execute(
        update(alert_deliveries)
        .where(alert_deliveries.c.subscription_id == number, alert_deliveries.c.state == DeliveryState.PENDING)
        .values(state=DeliveryState.DROPPED, finished_at=at, lease_until=None, error="the subscription was removed")
    )
    connection.execute(alert_coverage.delete().where(alert_coverage.c.subscription_id == number))
    return subscription


def read_subscriptions(connection: Connection, *kinds: AlertKind) -> tuple[Subscription, ...]:
    """Return the subscriptions, oldest first.

    Args:
        connection: Any connection.
        *kinds: Only subscriptions that want any of these; none given = all.
    """
    query = select(alert_subscriptions).where(alert_subscriptions.c.removed_at.is_(None))
    found = (_subscription(row) for row in connection.execute(query.order_by(alert_subscriptions.c.id)))
    return tuple(each for each in found if not kinds or each.wants(kinds))


def find_subscription(connection: Connection, number: int) -> Subscription:
    """Return a subscription.

    Raises:
        NotFound: there is none of that number.
    """
    query = select(alert_subscriptions).where(
        alert_subscriptions.c.id == number, alert_subscriptions.c.removed_at.is_(None)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no alert subscription {number}; list them with `tplus alerts list`")
    return _subscription(row)


def read_targets(connection: Connection, number: int) -> tuple[str, str | None]:
    """Return the encrypted target and secret of a subscription."""
    table = alert_subscriptions.c
    row = connection.execute(select(table.target_encrypted, table.secret_encrypted).where(table.id == number)).one()
    return row.target_encrypted, row.secret_encrypted


def renew_key(connection: Connection, path: Path) -> int:
    """Put a new key into the key file and encrypt every target and secret with it; return their subscriptions' number.

    Raises:
        KeyFileError: the file cannot be changed, or a target cannot be decrypted.
    """
    lock_changes(connection)  # of two rotations at once the second would else replace the first one's key
    add_key(path)
    encryption = Encryption(path)
    query = select(alert_subscriptions).where(alert_subscriptions.c.removed_at.is_(None))
    rows = connection.execute(query).all()
    for row in rows:
        secret = None if row.secret_encrypted is None else encryption.renew(row.secret_encrypted)
        values = {"target_encrypted": encryption.renew(row.target_encrypted), "secret_encrypted": secret}
        connection.execute(update(alert_subscriptions).where(alert_subscriptions.c.id == row.id).values(values))
    return len(rows)


def count_deliveries(connection: Connection) -> Mapping[int, Mapping[str, int]]:
    """Return the number of deliveries by subscription and state."""
    query = select(alert_deliveries.c.subscription_id, alert_deliveries.c.state, func.count())
    counts: dict[int, dict[str, int]] = {}
    grouped = query.group_by(alert_deliveries.c.subscription_id, alert_deliveries.c.state)
    for number, state, count in connection.execute(grouped):
        counts.setdefault(number, {})[state] = count
    return counts


def _check(connection: Connection, new: NewSubscription) -> None:
    unknown = [str(kind) for kind in new.kinds if kind not in KINDS]
    if unknown or not new.kinds:
        named = f"{', '.join(unknown)} cannot be subscribed to" if unknown else "no kind is named"
        raise SubscriptionError(f"{named}; name some of {', '.join(KINDS)}")
    if new.interval not in INTERVALS:
        raise SubscriptionError(f"the interval {new.interval} is not stored; use 50, 80 or 95")
    column = {AlertScope.GROUP: instruments.c.group, AlertScope.SYMBOL: instruments.c.symbol}.get(new.scope_kind)
    if column is not None:
        known = connection.execute(select(instruments.c.symbol).where(column == new.scope).limit(1)).first()
        if known is None:
            raise NotFound(f"there is no {new.scope_kind} {new.scope}; see `tplus symbols list`")
    count = connection.execute(select(func.count()).where(alert_subscriptions.c.removed_at.is_(None))).scalar_one()
    if count >= MAX_SUBSCRIPTIONS:
        raise SubscriptionError(
            f"there are {count} subscriptions, and at most {MAX_SUBSCRIPTIONS} are allowed; remove one first"
        )


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _subscription(row: Any) -> Subscription:
    return Subscription(
        row.id,
        row.name,
        tuple(AlertKind(kind) for kind in row.kinds),
        AlertScope(row.scope_kind),
        row.scope,
        row.interval,
        TargetKind(row.target_kind),
        row.target_shown,
        row.created_at,
        row.created_by,
    )
