"""Kept answers under change: no answer of another symbol, none older than a second, no revoked key after a second.

A real API with one and with two workers over SQLite. Clients read random symbols with random keys, on connections that
they renew, while editions of random symbols are published and keys are revoked and created. An answer must be of the
requested symbol, and of its newest edition or of one that was replaced less than a second before the request
was sent. A key must be refused when it was revoked a second before. Run from the repository's root:

    python -m benchmarks.reliability.cached_answers [--quick]

It prints one JSON document, and exits with 1 if a bar is missed. It takes two minutes.
"""

import argparse
import http.client
import json
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

from sqlalchemy import Connection, insert, select

from benchmarks.reliability.api_process import Api, running_api
from benchmarks.speed.api_ledger import Size, fill_database
from service.access.keys import NewKey, create_key, revoke_key
from service.clock import process_now
from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import editions, forecasts, served_forecasts
from service.vocabulary import Scope

BOUND_SECONDS = 1.0
KEYS = 6
_REQUESTS_OF_CONNECTION = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and with how much.

    Attributes:
        seconds: Length of a run.
        symbols: Symbols that are read.
        clients: Clients at a time.
        publish_seconds: Time between two editions.
        revoke_seconds: Time between two revocations.
    """

    seconds: float = 45.0
    symbols: int = 40
    clients: int = 8
    publish_seconds: float = 0.2
    revoke_seconds: float = 0.7


QUICK = Plan(seconds=6.0, symbols=12, clients=4)


@dataclass(slots=True)
class Key:
    """A key: its id, its token, and when it was revoked."""

    id: int
    token: str
    revoked_at: float | None = None


@dataclass(slots=True)
class Seen:
    """What was published, and what was answered.

    Attributes:
        published: Symbol -> numbers of its editions, each with the time after its commit.
        keys: Every key.
        statuses: Answers by status.
        wrong: Sentences about answers that are not as they must be.
    """

    published: dict[str, list[tuple[int, float]]]
    keys: list[Key] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(folder: Path, plan: Plan, workers: int) -> dict[str, object]:
    """Run the trial with some workers; returns its figures."""
    path = folder / f"{workers}.db"
    database, size = Database(f"sqlite:///{path}"), Size(symbols=plan.symbols, editions=2, bars=120, with_bars=1)
    fill_database(database, size)
    seen = Seen({symbol: [(2, 0.0)] for symbol in size.names}, [_new_key(database, place) for place in range(KEYS)])
    settings = {"TPLUS_OPEN_READS": "false", "TPLUS_RATE_LIMIT": "off", "TPLUS_WORKERS": str(workers)}
    with running_api(path, settings | {"TPLUS_LOG_LEVEL": "error"}) as api:
        end = monotonic() + plan.seconds
        jobs: list[Callable[[], None]] = [
            lambda: _publish(database, seen, plan, end),
            lambda: _revoke(database, seen, plan, end),
            *(lambda seed=seed: _read(api, seen, seed, end) for seed in range(plan.clients)),
        ]
        threads = [threading.Thread(target=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    database.close()
    return {
        "workers": workers,
        "answers": dict(sorted(seen.statuses.items())),
        "editions": sum(len(numbers) - 1 for numbers in seen.published.values()),
        "revoked": sum(key.revoked_at is not None for key in seen.keys),
        "wrong": seen.wrong[:20],
    }


def _new_key(database: Database, place: int) -> Key:
    with database.transaction() as connection:
        name = NewKey(f"client{place}", frozenset({Scope.READ}))
        key, token = create_key(connection, name, process_now())
    return Key(key.id, token)


def _publish(database: Database, seen: Seen, plan: Plan, end: float) -> None:
    chance, number = random.Random(1), 2
    while monotonic() < end:
        number += 1
        symbols = chance.sample(sorted(seen.published), 2)
        with database.transaction() as connection:
            _copy_edition(connection, number, symbols)
        for symbol in symbols:
            seen.published[symbol].append((number, monotonic()))
        sleep(plan.publish_seconds)


def _copy_edition(connection: Connection, number: int, symbols: list[str]) -> None:
    """Publish the forecasts of edition 2 again, under another number."""
    head = connection.execute(select(editions).where(editions.c.number == 2)).mappings().one()
    connection.execute(insert(editions).values({**head, "number": number, "hash": f"{number:064d}"}))
    for table in (forecasts, served_forecasts):
        query = select(table).where(table.c.edition == 2, table.c.symbol.in_(symbols))
        rows = [{**row, "edition": number} for row in connection.execute(query).mappings()]
        for row in rows:
            if "revision" in row:
                del row["id"]
                row["revision"] = number
        connection.execute(insert(table), rows)
    raise_changes(connection, symbols)


def _revoke(database: Database, seen: Seen, plan: Plan, end: float) -> None:
    chance = random.Random(2)
    while monotonic() < end:
        sleep(plan.revoke_seconds)
        key = chance.choice([key for key in seen.keys if key.revoked_at is None])
        with database.transaction() as connection:
            revoke_key(connection, key.id, process_now())
        key.revoked_at = monotonic()
        seen.keys.append(_new_key(database, len(seen.keys)))


def _read(api: Api, seen: Seen, seed: int, end: float) -> None:
    chance = random.Random(seed)
    while monotonic() < end:
        connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=30)
        for _ in range(_REQUESTS_OF_CONNECTION):
            symbol, key = chance.choice(sorted(seen.published)), chance.choice(seen.keys[-2 * KEYS :])
            _ask(connection, seen, symbol, key, is_batch=chance.random() < 0.1)
        connection.close()


def _ask(connection: http.client.HTTPConnection, seen: Seen, symbol: str, key: Key, *, is_batch: bool) -> None:
    path = f"/v1/forecasts?symbols={symbol}" if is_batch else f"/v1/forecasts/{symbol}"
    begun, revoked_at = monotonic(), key.revoked_at
    least = max(number for number, at in seen.published[symbol] if at <= begun - BOUND_SECONDS)
    connection.request("GET", path, headers={"Authorization": f"Bearer {key.token}"})
    answer = connection.getresponse()
    body = answer.read()
    seen.statuses[answer.status] += 1
    if revoked_at is not None and begun - revoked_at > BOUND_SECONDS and answer.status != 401:
        seen.wrong.append(f"a key that was revoked {begun - revoked_at:.2f} s before got {answer.status}")
    if answer.status == 401 and key.revoked_at is None:
        seen.wrong.append("a valid key was refused")
    if answer.status != 200:
        return
    document = json.loads(body)
    document = document["items"][0] if is_batch else document
    if document["symbol"] != symbol:
        seen.wrong.append(f"{path} was answered with {document['symbol']}")
    if document["edition"]["number"] < least:
        seen.wrong.append(f"{path} was answered with edition {document['edition']['number']}, and not with {least}")


def misses(figures: dict[str, object]) -> list[str]:
    """Return what is wrong with a run's figures."""
    answers = figures["answers"]
    assert isinstance(answers, dict)
    assert isinstance(figures["wrong"], list)
    missed = list(figures["wrong"])
    if not answers.get(200) or not answers.get(401) or set(answers) - {200, 401}:
        missed.append(f"the answers are {answers}: there must be 200 and 401 alone")
    if not figures["editions"] or not figures["revoked"]:
        missed.append("nothing changed during the run")
    return missed


def main() -> int:
    """Run with one and with two workers."""
    parser = argparse.ArgumentParser(description="kept answers under change")
    parser.add_argument("--quick", action="store_true", help="six seconds each")
    plan = QUICK if parser.parse_args().quick else Plan()
    with tempfile.TemporaryDirectory() as folder:
        runs = [run(Path(folder), plan, workers) for workers in (1, 2)]
    missed = [sentence for figures in runs for sentence in misses(figures)]
    print(json.dumps({"runs": runs, "missed": missed}, indent=1))
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
