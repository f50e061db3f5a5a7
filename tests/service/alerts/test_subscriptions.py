"""Subscriptions: stored without readable secrets, removed with their targets."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from service.alerts.encryption import Encryption
from service.alerts.subscriptions import (
    SubscriptionError,
    count_deliveries,
    find_subscription,
    read_subscriptions,
    remove_subscription,
    renew_key,
)
from service.alerts.targets.parse import Target
from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import alert_subscriptions
from service.errors import NotFound
from service.vocabulary import AlertKind, AlertScope, TargetKind
from tests.support.alert_factory import AT, deliveries, numbered, publish, subscribe


def stored(database: Database) -> list[str]:
    """Every text of the table."""
    with database.reading() as connection:
        return [str(value) for row in connection.execute(select(alert_subscriptions)) for value in row]


def test_target_and_secret_are_encrypted_and_the_secret_has_256_bits(database: Database, tmp_path: Path) -> None:
    added = subscribe(database, tmp_path, AlertKind.SOURCE_DOWN)
    assert added.secret is not None
    assert len(base64.b64decode(added.secret.removeprefix("whsec_"))) == 32
    assert not [text for text in stored(database) if "hidden" in text or added.secret in text]
    assert "hidden" not in repr(added.subscription)
    assert added.subscription.target_shown == "https://example.com/..."


def test_an_apprise_subscription_has_no_secret(database: Database, tmp_path: Path) -> None:
    target = Target(TargetKind.APPRISE, "slack://a/b/c", "slack://...")
    assert subscribe(database, tmp_path, AlertKind.SOURCE_DOWN, target=target).secret is None


def test_a_removed_subscription_loses_its_target_and_drops_what_is_pending(database: Database, tmp_path: Path) -> None:
    number = subscribe(database, tmp_path, AlertKind.SOURCE_DOWN).subscription.id
    publish(database, numbered(1))
    with database.transaction() as connection:
        remove_subscription(connection, number, AT)
    assert [(row.state, row.error) for row in deliveries(database)] == [("dropped", "the subscription was removed")]
    with database.reading() as connection:
        assert read_subscriptions(connection) == ()
        assert connection.execute(select(alert_subscriptions.c.target_encrypted)).scalars().all() == [None]
        assert count_deliveries(connection) == {number: {"dropped": 1}}
        with pytest.raises(NotFound, match=f"there is no alert subscription {number}"):
            find_subscription(connection, number)
    assert publish(database, numbered(2)) == 0


def test_source_up_comes_with_source_down(database: Database, tmp_path: Path) -> None:
    subscription = subscribe(database, tmp_path, AlertKind.SOURCE_DOWN).subscription
    assert subscription.wants((AlertKind.SOURCE_UP,))
    assert not subscription.wants((AlertKind.FORECAST_MISSED,))


def test_what_does_not_fit_is_refused_with_what_to_do(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SubscriptionError, match="test cannot be subscribed to; name some of close_left_interval"):
        subscribe(database, tmp_path, AlertKind.TEST)
    with pytest.raises(SubscriptionError, match="the interval 90 is not stored; use 50, 80 or 95"):
        subscribe(database, tmp_path, AlertKind.SOURCE_DOWN, interval=90)
    with pytest.raises(NotFound, match="there is no symbol ZZZZ; see `tplus symbols list`"):
        subscribe(database, tmp_path, scope=(AlertScope.SYMBOL, "ZZZZ"))


def test_at_most_200_subscriptions_exist(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path)
    with database.transaction() as connection:
        row = dict(connection.execute(select(alert_subscriptions)).mappings().one())
        del row["id"]
        connection.execute(insert(alert_subscriptions), [row] * 199)
    with pytest.raises(SubscriptionError, match="there are 200 subscriptions"):
        subscribe(database, tmp_path)


def test_a_rotated_key_encrypts_every_subscription_again(database: Database, tmp_path: Path) -> None:
    subscribe(database, tmp_path)
    path = tmp_path / "alerts.key"
    with database.transaction() as connection:
        assert renew_key(connection, path) == 1
    path.write_text(path.read_text().splitlines()[0])
    with database.reading() as connection:
        row = connection.execute(select(alert_subscriptions)).one()
    assert Encryption(path).decrypt(row.target_encrypted) == "https://example.com/hook?token=hidden"
    assert Encryption(path).decrypt(row.secret_encrypted).startswith("whsec_")


def test_two_rotations_at_once_lose_no_key(database: Database, tmp_path: Path) -> None:
    with database.transaction() as connection:
        raise_changes(connection, ())  # a stamped database has the counter
    subscribe(database, tmp_path)
    path = tmp_path / "alerts.key"

    def renew(_number: int) -> int:
        with database.transaction() as connection:
            return renew_key(connection, path)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(renew, range(8))) == [1] * 8
    assert len(path.read_text().split()) == 9
    with database.reading() as connection:
        row = connection.execute(select(alert_subscriptions)).one()
    assert Encryption(path).decrypt(row.target_encrypted) == "https://example.com/hook?token=hidden"
