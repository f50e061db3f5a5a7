"""Kills the process that delivers alerts, and the one that publishes events, while receivers misbehave.

Receivers are down, slow, answer 500, or answer twice. Every acknowledged event must be delivered or be a dead letter,
and arrive in order. Run from the repository's root:

    python -m benchmarks.reliability.alerts [--quick] [--kills 100] [--database sqlite|postgresql|both]

It prints one JSON document, and exits with 1 if an event is lost, arrives out of order or has a wrong signature.
"""

import argparse
import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from standardwebhooks import Webhook

from benchmarks.reliability.alert_receiver import Received, Receiver, running
from service.alerts.delivery import Deliverer, Pace, TargetSender
from service.alerts.encryption import Encryption
from service.alerts.outbox import AlertEvent, Instants, emit
from service.alerts.subscriptions import NewSubscription, add_subscription
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.apprise import AppriseSender
from service.alerts.targets.parse import parse_target
from service.alerts.targets.webhook import WebhookSender
from service.clock import DatabaseClock
from service.db.migrate import upgrade
from service.db.session import FAULTS, Database
from service.db.tables import alert_deliveries, alert_events, alert_subscriptions
from service.vocabulary import AlertKind, AlertScope, DeliveryState

PATHS = ("ok", "failing", "slow", "twice", "down", "broken")
"""Behaviours of the receiver, one subscription each; `broken` never accepts."""

_WANTED = {"broken": AlertKind.CHAMPION_CHANGED, "slow": AlertKind.FORECAST_STALE}

PACE = Pace(retry_seconds=(0.05, 0.1) + (0.2,) * 14, lease=timedelta(seconds=1.5), poll_seconds=0.05)
"""Waits shorter than those of the service, so that a trial takes minutes."""


ANSWER_SECONDS = 0.6
SETTLE_SECONDS = 300.0
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Trial:
    """One database and its key file.

    Attributes:
        url: The database.
        key_file: The key file.
        kills: Kills of the delivering process; the publishing one gets half as many.
        broken_events: Most dead letters: each holds its subscription through every attempt.
        seed: Of the random instants.
    """

    url: str
    key_file: Path
    kills: int
    broken_events: int = 4
    seed: int = 1


def deliver(url: str, key_file: Path) -> None:
    """Deliver until the process is killed."""
    rule = AddressRule(loopback=True)
    sender = TargetSender(Encryption(key_file), WebhookSender(rule, seconds=ANSWER_SECONDS), AppriseSender(rule))
    Deliverer(Database(url), DatabaseClock(), sender, PACE).start()
    _write_line("ready")
    threading.Event().wait()


def publish(url: str, first: int) -> None:
    """Publish numbered events, and print each number once it is committed."""
    database, clock = Database(url), DatabaseClock()
    for number in range(first, sys.maxsize):
        event = AlertEvent(_kind_of(number), f"{number}", f"event {number}", {"number": number})
        try:
            with database.transaction() as connection:
                now = clock.now(connection)
                emit(connection, [event], Instants(now, now))
        except FAULTS:  # a killed process may hold the lock for a moment
            time.sleep(0.05)
            continue
        _write_line(str(number))
        time.sleep(0.2)


def _kind_of(number: int) -> AlertKind:
    """Return the kind of a numbered event: few for the receivers that hold each for long."""
    if number % 15 == 0:
        return AlertKind.FORECAST_STALE
    return AlertKind.CHAMPION_CHANGED if number % 5 == 0 else AlertKind.SOURCE_DOWN


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run_trial(trial: Trial) -> dict[str, Any]:
    """Return the figures of one trial on an empty, migrated database."""
    database = Database(trial.url)
    receiver, spare = Receiver(), Receiver()
    try:
        with running(receiver), running(spare):
            pass  # two ports; the second receiver is down half of the time
        with running(receiver):
            secrets = _subscribe(database, trial.key_file, receiver, spare)
            acknowledged, kills = _kill_at_random(trial, spare)
            with running(spare), _child("deliver", trial.url, str(trial.key_file)):
                waited = _settle(database, trial.broken_events)
        return {
            **_figures(database, [*receiver.accepted, *spare.accepted], secrets, acknowledged),
            **kills,
            "requests": len(receiver.requests) + len(spare.requests),
            "settled_after_seconds": round(waited, 1),
        }
    finally:
        database.close()


def misses(figures: dict[str, Any]) -> list[str]:
    """Return one sentence per bar that is missed."""
    bars = {
        "lost": "events were lost",
        "unsettled": "deliveries are neither delivered nor dead",
        "out_of_order": "messages arrived out of order",
        "bad_signatures": "signatures were wrong",
        "not_really_delivered": "deliveries count as delivered and were not received",
    }
    found = [f"{figures[name]} {sentence}" for name, sentence in bars.items() if figures[name]]
    if not figures["dead"]:
        found.append("no dead letter: the trial shows nothing about them")
    if not figures["acknowledged"] or not figures["delivered"]:
        found.append("nothing was published or delivered")
    return found


def _subscribe(database: Database, key_file: Path, receiver: Receiver, spare: Receiver) -> dict[str, str]:
    """Add one subscription per behaviour; return the secrets by path."""
    secrets: dict[str, str] = {}
    rule, encryption = AddressRule(loopback=True), Encryption(key_file)
    for path in PATHS:
        target = parse_target((spare if path == "down" else receiver).url(path), rule)
        new = NewSubscription(path, (_WANTED.get(path, AlertKind.SOURCE_DOWN),), AlertScope.ALL, None, 95, target)
        with database.transaction() as connection:
            added = add_subscription(connection, new, encryption, "trial", DatabaseClock().now(connection))
        secrets[f"/{path}"] = str(added.secret)
    return secrets


def _kill_at_random(trial: Trial, spare: Receiver) -> tuple[set[int], dict[str, int]]:
    """Kill both processes at random instants; return the acknowledged events and the counts.

    The spare receiver is down half of the time.
    """
    random_source = random.Random(trial.seed)
    acknowledged: set[int] = set()
    publisher: subprocess.Popen[str] | None = None
    publisher_kills = 0
    for number in range(trial.kills):
        up = running(spare) if number % 2 else nullcontext()
        with up, _child("deliver", trial.url, str(trial.key_file)):
            if publisher is None:
                publisher = _start("publish", trial.url, str(1_000 * (number + 1)))
                first = publisher.stdout.readline() if publisher.stdout else ""
                acknowledged.add(int(first))
            time.sleep(random_source.uniform(0.8, 2.2))
        if number % 2 == 0 or number == trial.kills - 1:
            acknowledged |= _kill(publisher)
            publisher_kills += 1
            publisher = None
    if publisher is not None:
        acknowledged |= _kill(publisher)
        publisher_kills += 1
    return acknowledged, {"deliverer_kills": trial.kills, "publisher_kills": publisher_kills}


def _kill(process: "subprocess.Popen[str]") -> set[int]:
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    lines = output.splitlines(keepends=True)
    return {int(line) for line in lines if line.endswith("\n")}


def _start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.reliability.alerts", "--child", *arguments]
    return subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)


@contextmanager
def _child(*arguments: str) -> Iterator[None]:
    process = _start(*arguments)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # ready: importing takes longer than what is to be killed
        yield
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)


def _settle(database: Database, broken_events: int) -> float:
    """Wait until nothing is pending; return the seconds."""
    table = alert_deliveries.c
    with database.transaction() as connection:  # dead letters are tested with a few: each takes every attempt
        broken = select(alert_subscriptions.c.id).where(alert_subscriptions.c.name == "broken").scalar_subquery()
        kept = select(table.id).where(table.subscription_id == broken).order_by(table.id).limit(broken_events)
        ids = list(connection.execute(kept).scalars())
        connection.execute(
            update(alert_deliveries)
            .where(table.subscription_id == broken, table.id.not_in(ids), table.state == DeliveryState.PENDING)
            .values(state=DeliveryState.DROPPED)
        )
    start = time.monotonic()
    while time.monotonic() - start < SETTLE_SECONDS:
        with database.reading() as connection:
            pending = connection.execute(select(table.id).where(table.state == DeliveryState.PENDING).limit(1)).first()
        if pending is None:
            break
        time.sleep(0.1)
    return time.monotonic() - start


def _figures(
    database: Database, accepted: list[Received], secrets: dict[str, str], acknowledged: set[int]
) -> dict[str, Any]:
    with database.reading() as connection:
        keys = set(connection.execute(select(alert_events.c.key)).scalars())
        query = select(alert_deliveries, alert_subscriptions.c.name).join(
            alert_subscriptions, alert_subscriptions.c.id == alert_deliveries.c.subscription_id
        )
        rows = connection.execute(query.order_by(alert_deliveries.c.id)).all()
    arrived = {each.id for each in accepted}
    delivered = [row for row in rows if row.state == DeliveryState.DELIVERED]
    unwritten = [number for number in acknowledged if f"{_kind_of(number)}:{number}" not in keys]
    expected = {
        (path, f"{_kind_of(number)}:{number}")
        for path in PATHS
        if path != "broken"
        for number in acknowledged
        if _kind_of(number) == _WANTED.get(path, AlertKind.SOURCE_DOWN)
    }
    outcome = {
        (row.name, event["key"])
        for row in rows
        if row.message_id in arrived or row.state in (DeliveryState.DEAD, DeliveryState.PENDING)
        for event in json.loads(row.body)["data"]["events"]
    }
    return {
        "acknowledged": len(acknowledged),
        "lost": len(unwritten) + len(expected - outcome),
        "deliveries": len(rows),
        "delivered": len(delivered),
        "dead": sum(row.state == DeliveryState.DEAD for row in rows),
        "dead_except_broken": sum(row.state == DeliveryState.DEAD and row.name != "broken" for row in rows),
        "unsettled": sum(row.state == DeliveryState.PENDING for row in rows),
        "not_really_delivered": sum(row.message_id not in arrived for row in delivered),
        "received_twice": len(accepted) - len(arrived),
        "out_of_order": sum(_disorder(rows, accepted, path) for path in PATHS),
        "bad_signatures": sum(not _is_signed(each, secrets[each.path]) for each in accepted),
    }


def _disorder(rows: Any, accepted: list[Received], path: str) -> int:
    """Return how many messages first arrived before an earlier one of their subscription."""
    place = {row.message_id: row.id for row in rows if row.name == path}
    order = [place[each] for each in dict.fromkeys(each.id for each in accepted if each.path == f"/{path}")]
    return sum(later < earlier for earlier, later in itertools.pairwise(order))


def _is_signed(received: Received, secret: str) -> bool:
    headers = received.headers
    at = int(headers["webhook-timestamp"])
    expected = Webhook(secret).sign(headers["webhook-id"], datetime.fromtimestamp(at, UTC), received.body.decode())
    return expected == headers["webhook-signature"]


@contextmanager
def _databases(kinds: tuple[str, ...], folder: Path) -> Iterator[dict[str, str]]:
    """Yield URLs of empty, migrated databases by kind."""
    urls: dict[str, str] = {}
    if "sqlite" in kinds:
        urls["sqlite"] = f"sqlite:///{folder / 'trial.db'}"
    if "postgresql" not in kinds:
        yield _migrated(urls)
        return
    from tests.support.postgres import NoPostgres, Options, find_binaries, running_server

    try:
        binaries = find_binaries()
    except NoPostgres as error:
        sys.stderr.write(f"{error}\n")
        yield _migrated(urls)
        return
    with running_server(binaries, Options()) as server:
        with server.databases.lent() as url:
            yield _migrated({**urls, "postgresql": url})


def _migrated(urls: dict[str, str]) -> dict[str, str]:
    for url in urls.values():
        database = Database(url)
        upgrade(database)
        database.close()
    return urls


def main(arguments: list[str]) -> int:
    """Run the trial, or be one of its processes; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="2 kills on SQLite")
    parser.add_argument("--kills", type=int, default=100, help="kills of the delivering process, per database")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        name, url, *rest = options.child
        if name == "deliver":
            deliver(url, Path(rest[0]))
        else:
            publish(url, int(rest[0]))
        return 0
    kinds = ("sqlite", "postgresql") if options.database == "both" else (options.database,)
    kinds = ("sqlite",) if options.quick else kinds
    folder = Path(tempfile.mkdtemp())
    try:
        with _databases(kinds, folder) as urls:
            kills, broken = (2, 1) if options.quick else (options.kills, 4)
            figures = {kind: run_trial(Trial(url, folder / f"{kind}.key", kills, broken)) for kind, url in urls.items()}
    finally:
        shutil.rmtree(folder)
    missed = [f"{kind}: {each}" for kind, own in figures.items() for each in misses(own)]
    print(json.dumps({"figures": figures, "missed": missed}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
