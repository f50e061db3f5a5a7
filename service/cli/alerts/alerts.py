"""`tplus alerts`: subscriptions, test messages and dead letters."""

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service.alerts.deliveries import Claimed, list_dead, retry_dead
from service.alerts.delivery import TargetSender
from service.alerts.encryption import Encryption
from service.alerts.outbox import Instants, new_test_delivery
from service.alerts.subscriptions import (
    KINDS,
    NewSubscription,
    Subscription,
    add_subscription,
    count_deliveries,
    find_subscription,
    read_subscriptions,
    read_targets,
    remove_subscription,
    renew_key,
)
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.parse import MAX_LENGTH, parse_target
from service.audit import AuditEntry, record
from service.cli.common import JsonFlag, echo, emit, service
from service.errors import SettingsError, TplusError
from service.market.symbol_names import normalize_symbols
from service.vocabulary import AlertKind, AlertScope, DeliveryState

app = typer.Typer(name="alerts", help="Manage alerts: subscriptions, tests, dead letters.", no_args_is_help=True)

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,100}")
_FIELDS = ("id", "name", "kinds", "scope_kind", "scope", "interval", "target_kind", "target_shown", "created_at",
           "created_by")  # fmt: skip
_DEAD_FIELDS = ("id", "subscription_id", "name", "kind", "events", "message_id", "attempts", "finished_at", "error")

_Number = Annotated[int, typer.Argument(help="Number of the subscription.")]
_Kinds = Annotated[
    list[AlertKind] | None, typer.Option("--kind", help="Kind of event, repeatable; without it all kinds.")
]
_TargetFile = Annotated[
    Path | None,
    typer.Option("--target-file", help="File with the target; without it the target is read from standard input."),
]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the subscription, for people.")],
    kinds: _Kinds = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only this symbol.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Only this group.")] = None,
    interval: Annotated[int, typer.Option("--interval", help="Interval a close has to leave: 50, 80 or 95.")] = 95,
    target_file: _TargetFile = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a subscription; the secret that verifies its webhooks is printed this once.

    The target is an https URL or an Apprise URL. It is a secret: it is not an argument, where other users see it.
    """
    if not _NAME.fullmatch(name):
        raise SettingsError("the name must have 1 to 100 characters, none of them a control character")
    if symbol is not None and group is not None:
        raise SettingsError("--symbol and --group exclude each other; give one, or neither for all symbols")
    text = _read_target(target_file)
    scope_kind = AlertScope.SYMBOL if symbol else AlertScope.GROUP if group else AlertScope.ALL
    with service(quiet=as_json) as context:
        target = parse_target(text, AddressRule(context.settings.alert_loopback_http))
        encryption = Encryption(context.settings.alert_key_path)
        with context.database.transaction() as connection:
            scope = normalize_symbols(connection, [symbol])[0] if symbol else group
            new = NewSubscription(name, tuple(kinds or KINDS), scope_kind, scope, interval, target)
            now = context.machine.now(connection)
            added = add_subscription(connection, new, encryption, "command line", now)
            detail = {"name": name, "kinds": list(new.kinds), "target": target.shown}
            record(connection, AuditEntry("alerts.add", f"subscription {added.subscription.id}", detail), now)
    if as_json:
        emit({**_row(added.subscription, {}), "secret": added.secret})
        return
    echo(f"subscription {added.subscription.id}: {_line(added.subscription)}")
    if added.secret is not None:
        echo(f"secret, shown this once: {added.secret}")


@app.command("list")
def list_subscriptions(as_json: JsonFlag = False) -> None:
    """List the subscriptions with the counts of their deliveries."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        subscriptions = read_subscriptions(connection)
        counts = count_deliveries(connection)
    if as_json:
        emit({"subscriptions": [_row(each, counts.get(each.id, {})) for each in subscriptions]})
        return
    if not subscriptions:
        echo("no subscription; `tplus alerts add NAME` makes one")
    for each in subscriptions:
        own = counts.get(each.id, {})
        figures = ", ".join(f"{own[state]} {state}" for state in DeliveryState if own.get(state))
        echo(f"{each.id:>5}  {_line(each)}  {figures or 'nothing sent yet'}")


@app.command("remove")
def remove(
    number: Annotated[int, typer.Argument(help="Number of the subscription.")], as_json: JsonFlag = False
) -> None:
    """Remove a subscription: its target is deleted, its pending deliveries are dropped."""
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        now = context.machine.now(connection)
        removed = remove_subscription(connection, number, now)
        detail = {"name": removed.name, "target": removed.target_shown}
        record(connection, AuditEntry("alerts.remove", f"subscription {number}", detail), now)
    if as_json:
        emit({"removed": number})
        return
    echo(f"subscription {number} ({removed.name}) is removed; its pending deliveries are dropped")


@app.command("test")
def send_test(number: _Number, as_json: JsonFlag = False) -> None:
    """Send a test message now, next to the outbox, and print the result."""
    with service(quiet=as_json) as context:
        with context.database.transaction() as connection:
            now = context.machine.now(connection)
            subscription = find_subscription(connection, number)
            row = new_test_delivery(connection, subscription, Instants(context.market.now(connection), now))
            target, secret = read_targets(connection, number)
            record(connection, AuditEntry("alerts.test", f"subscription {number}", {}), now)
        claimed = Claimed(0, 0, row["message_id"], row["body"], 1, subscription.target_kind, target, secret)
        result = TargetSender.of(context.settings).send(claimed, now)
    if result.error is not None:
        raise TplusError(f"the test was not delivered to {subscription.target_shown}: {result.error}")
    if as_json:
        emit({"delivered": True, "message_id": row["message_id"]})
        return
    echo(f"delivered to {subscription.target_shown}")


@app.command("dead")
def dead(as_json: JsonFlag = False) -> None:
    """List the dead letters: messages that were given up after their last attempt."""
    with service(quiet=as_json) as context, context.database.reading() as connection:
        rows = list_dead(connection)
    if as_json:
        emit({"dead": [{name: getattr(row, name) for name in _DEAD_FIELDS} for row in rows]})
        return
    if not rows:
        echo("no dead letters")
    for row in rows:
        echo(f"{row.id:>5}  {row.name}  {row.kind}, {row.events} events, {row.attempts} attempts: {row.error}")


@app.command("retry")
def retry(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of dead letters.")] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send dead letters again, with all their attempts."""
    if bool(numbers) == all_of_them:
        raise SettingsError("give the numbers of dead letters, see `tplus alerts dead`, or --all")
    with service(quiet=as_json) as context, context.database.transaction() as connection:
        now = context.machine.now(connection)
        found = retry_dead(connection, None if all_of_them else numbers, now)
        record(connection, AuditEntry("alerts.retry", f"{len(found)} dead letters", {"deliveries": found}), now)
    if as_json:
        emit({"retried": found})
        return
    echo(f"{len(found)} deliveries are due again; the scheduler sends them")


@app.command("rotate-key")
def rotate_key(as_json: JsonFlag = False) -> None:
    """Put a new key into the key file and encrypt every target and secret with it."""
    with service(quiet=as_json) as context:
        with context.database.transaction() as connection:
            count = renew_key(connection, context.settings.alert_key_path)
            entry = AuditEntry("alerts.rotate-key", f"{count} subscriptions", {})
            record(connection, entry, context.machine.now(connection))
    if as_json:
        emit({"renewed": count})
        return
    echo(f"{count} subscriptions are encrypted with a new key; the old ones below it may be deleted from the file")


def _read_target(path: Path | None) -> str:
    """Return the target from a file, a hidden prompt, or standard input.

    Raises:
        SettingsError: the file cannot be read.
    """
    if path is None and sys.stdin.isatty():
        return str(typer.prompt("Target (https or Apprise URL)", hide_input=True)).strip()
    try:
        if path is None:
            return sys.stdin.read(2 * MAX_LENGTH).strip()
        with path.open() as file:
            return file.read(2 * MAX_LENGTH).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the target cannot be read from {path} ({error}); write it into a text file") from error


def _row(subscription: Subscription, counts: Any) -> dict[str, Any]:
    return {**{name: getattr(subscription, name) for name in _FIELDS}, "deliveries": dict(counts)}


def _line(subscription: Subscription) -> str:
    scope = "all symbols" if subscription.scope is None else f"{subscription.scope_kind} {subscription.scope}"
    kinds = "all kinds" if set(subscription.kinds) == set(KINDS) else ", ".join(subscription.kinds)
    return f"{subscription.name}: {kinds} of {scope} to {subscription.target_shown}"
