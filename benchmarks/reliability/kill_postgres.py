"""kill -9 of PostgreSQL under the writes of the real service: no acknowledged row is lost, the service recovers.

A server with fsync on is killed with all its processes at random moments and restarted on the same data folder.
One `tplus schedule` and one `tplus serve` stay up the whole time. The scheduler's launcher appends each write whose
commit was acknowledged to a file: claims, merged bars, market time, editions, score batches, model versions, ended
runs. At the end each of them must be in the database, and the whole history is checked. Run from the repository's root:

    python -m benchmarks.reliability.kill_postgres [--quick] [--kills 50] [--seconds 1800]

It prints one JSON document, and exits with 1 if a bar is missed: an acknowledged row is lost, a row is doubled or half
written, or a process of the service had to be restarted.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection, func, select

from benchmarks.reliability.killing.history import check_history
from benchmarks.reliability.killing.postgres import KilledServer, killed_server
from benchmarks.reliability.killing.processes import Place, Scheduler, Stuck, wait_until
from service.db.session import Database
from service.db.tables import bars, editions, market_clock, model_versions, runs, score_batches
from tests.support.postgres import NoPostgres, free_port

_SETTINGS = {"SYMBOLS": "IBM", "CLOCK": "replay:2008-01-02T22:30:00Z:0", "TRAIN_EVERY": "1", "GROUPS": "IBM=other"}
_RECOVERY_SECONDS = 90.0


def acknowledged(path: Path) -> list[dict[str, Any]]:
    """Return the acknowledged writes so far."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def lost_writes(connection: Connection, writes: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each acknowledged write that the database does not hold."""
    hashes = {
        "publish": {number: found for number, found in connection.execute(select(editions.c.number, editions.c.hash))},
        "scores": {
            number: found for number, found in connection.execute(select(score_batches.c.number, score_batches.c.hash))
        },
    }
    run_rows = {row.id: row for row in connection.execute(select(runs.c.id, runs.c.token, runs.c.state))}
    version: int = connection.execute(select(func.coalesce(func.max(model_versions.c.id), 0))).scalar_one()
    counted = select(bars.c.symbol, func.count(), func.max(bars.c.session)).group_by(bars.c.symbol)
    stored = {symbol: (count, str(last)) for symbol, count, last in connection.execute(counted)}
    now: datetime = connection.execute(select(market_clock.c.now)).scalar_one()
    lost = []
    for write in writes:
        kind = write["write"]
        if kind in hashes:
            held = hashes[kind].get(write["number"]) == write["hash"]
        elif kind == "claim":
            held = write["run"] in run_rows and run_rows[write["run"]].token >= write["token"]
        elif kind == "pull end":
            held = write["run"] in run_rows and run_rows[write["run"]].state == write["state"]
        elif kind == "versions":
            held = version >= write["version"]
        elif kind == "merge":
            count, last = stored.get(write["symbol"], (0, ""))
            held = count >= write["bars"] and last >= write["last"]
        else:
            held = now >= datetime.fromisoformat(write["market time"])
        if not held:
            lost.append(f"lost: {json.dumps(write)}")
    return lost


@dataclass(frozen=True)
class Plan:
    """The kills of a server.

    Attributes:
        kills: How often it is killed.
        seconds: No further kill after these seconds.
        writes_between: Acknowledged writes between two kills.
        with_api: Whether `tplus serve` runs too and must become ready again.
    """

    kills: int
    seconds: float = 1800.0
    writes_between: int = 20
    with_api: bool = True


def kill_database(folder: Path, server: KilledServer, plan: Plan) -> dict[str, Any]:
    """Kill a server under the writes of the service and return the figures.

    Args:
        folder: Data folder of the service.
        server: The running server.
        plan: The kills.
    """
    place = Place(folder, server.url, _SETTINGS, acks=folder / "acks")
    chance, began = random.Random(1), time.monotonic()
    done, processes_killed, recoveries, readies, stuck = 0, 0, [], [], ""
    fsync = server.setting("fsync")
    with _service(place, with_api=plan.with_api) as (scheduler, api, port):
        try:
            _wait_for_writes(place, min(plan.writes_between, 5))
            while done < plan.kills and time.monotonic() - began < plan.seconds:
                time.sleep(chance.uniform(0.0, 1.0))
                processes_killed += server.kill()
                done += 1
                time.sleep(chance.choice((0.0, 0.5, 2.5)))  # also longer than the lease
                written_meanwhile = len(acknowledged(folder / "acks"))
                server.start()
                started = time.monotonic()
                _wait_for_writes(place, written_meanwhile + 1)
                recoveries.append(time.monotonic() - started)
                if plan.with_api:
                    wait_until(lambda: _is_ready(port), "the API does not become ready", _RECOVERY_SECONDS)
                readies.append(time.monotonic() - started)
                _wait_for_writes(place, written_meanwhile + plan.writes_between)
        except Stuck as error:
            stuck = f"{error}; {scheduler.log.read_text(errors='replace')[-500:]}"
        same = scheduler.process.poll() is None and (api is None or api.poll() is None)
        time.sleep(1.0)
        scheduler.process.terminate()
        scheduler.process.wait(60)
    writes = acknowledged(folder / "acks")
    database = Database(server.url)
    with database.reading() as connection:
        lost = lost_writes(connection, writes)
    faults = check_history(database, place.parsed.artifact_dir)
    database.close()
    ordered = sorted(recoveries)
    return {
        "fsync": fsync, "kills": done, "kills_planned": plan.kills, "server_processes_killed": processes_killed,
        "acknowledged_writes": len(writes), "acknowledged_by_kind": dict(Counter(write["write"] for write in writes)),
        "acknowledged_lost": len(lost), **{kind: len(sentences) for kind, sentences in faults.items()},
        "faults": [*lost, *(sentence for sentences in faults.values() for sentence in sentences)][:20],
        "service_stayed_up": same, "stuck": stuck,
        "first_write_after_start_p50_s": round(ordered[len(ordered) // 2], 2) if ordered else None,
        "first_write_after_start_max_s": round(ordered[-1], 2) if ordered else None,
        "api_ready_after_start_max_s": round(max(readies), 2) if readies else None,
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip


def misses(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = [f"{figures[name]} {name}" for name in ("acknowledged_lost", "lost", "duplicated", "half-written")
             if figures[name]]  # fmt: skip
    if figures["stuck"]:
        found.append(figures["stuck"])
    if not figures["service_stayed_up"]:
        found.append("a process of the service ended")
    if figures["fsync"] != "on" or not figures["kills"] or not figures["acknowledged_writes"]:
        found.append("fsync is off, or nothing was killed or written: nothing is proven")
    return found


@contextmanager
def _service(place: Place, *, with_api: bool) -> Iterator[tuple[Scheduler, "subprocess.Popen[bytes] | None", int]]:
    port = free_port()
    environment = place.environment | {"TPLUS_PORT": str(port)}
    scheduler, api = place.start(), None
    with (place.folder / "api.log").open("wb") as log:
        if with_api:
            api = subprocess.Popen([sys.executable, "-m", "service.app"], env=environment, stdout=log, stderr=log)
        try:
            yield scheduler, api, port
        finally:
            scheduler.end()
            if api is not None:
                api.kill()
                api.wait(10)


def _wait_for_writes(place: Place, count: int) -> None:
    path = place.folder / "acks"
    wait_until(lambda: len(acknowledged(path)) >= count, "the service does not write", _RECOVERY_SECONDS)


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False


def main() -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two kills")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=1800.0, help="no further kill after these seconds")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder, killed_server() as server:
            plan = Plan(2 if arguments.quick else arguments.kills, arguments.seconds)
            figures = kill_database(Path(folder), server, plan)
    except NoPostgres as error:
        print(json.dumps({"missed": [str(error)]}))
        return 1
    figures["missed"] = misses(figures)
    print(json.dumps(figures, indent=1))
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
