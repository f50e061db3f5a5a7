"""Rate limits with one and four workers, counted in memory and in Redis: allowed requests against the limit.

Clients with open connections, which the system does not spread evenly over the workers, send twice the limit. Run from
the repository's root:

    python -m benchmarks.reliability.rate_limits [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: no window has more than 105 % of the limit, and all
windows together at least 95 %. Without a Redis server on PATH its part is left out and named. It takes three minutes.
"""

import argparse
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks.reliability.api_process import running_api
from service.db.migrate import upgrade
from service.db.session import Database

TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: the limit, and for how long clients exceed it.

    Attributes:
        limit: Requests in a window.
        window: Seconds.
        windows: Length of the run in windows.
        clients: Connections.
        overload: Sent requests over the limit.
    """

    limit: int = 300
    window: int = 10
    windows: int = 3
    clients: int = 8
    overload: float = 2.0


QUICK = Plan(limit=60, window=2, windows=2, clients=4)


def measure(folder: Path, plan: Plan, workers: int, storage: str) -> dict[str, Any]:
    """Return what one service allowed.

    Args:
        folder: For the database.
        plan: The load.
        workers: Its workers.
        storage: `memory`, or the address of a Redis server.
    """
    database = folder / "empty.db"
    if not database.exists():
        opened = Database(f"sqlite:///{database}")
        upgrade(opened)
        opened.close()
    settings = {
        "TPLUS_WORKERS": str(workers),
        "TPLUS_RATE_LIMIT": f"{plan.limit}/{plan.window} seconds",
        "TPLUS_RATE_LIMIT_STORAGE": storage,
    }
    with running_api(database, settings) as api:
        answers = _load(api.port, plan)
    allowed = sorted((sent, received) for sent, received, status, _ in answers if status == 404)
    refused = [retry for *_, status, retry in answers if status == 429]
    return {
        "workers": workers,
        "storage": storage.partition(":")[0],
        "limit": plan.limit,
        "sent": len(answers),
        "allowed": len(allowed),
        "expected": plan.limit * plan.windows,
        "most_in_a_window": most_in_a_window(allowed, plan.window),
        "refused": len(refused),
        "refused_without_retry_after": refused.count(None),
        "other_answers": len(answers) - len(allowed) - len(refused),
    }


def _load(port: int, plan: Plan) -> list[tuple[float, float, int, str | None]]:
    """Return (sent, received, status, Retry-After) of each request."""
    answers: list[tuple[float, float, int, str | None]] = []
    interval = plan.clients * plan.window / (plan.limit * plan.overload)
    begin = monotonic()
    end = begin + plan.windows * plan.window

    def run(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        due = begin + interval * number / plan.clients
        while due < end:
            sleep(max(0.0, due - monotonic()))
            sent = monotonic()
            connection.request("GET", "/nothing")
            answer = connection.getresponse()
            answer.read()
            answers.append((sent, monotonic(), answer.status, answer.getheader("Retry-After")))
            due += interval
        connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(plan.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def most_in_a_window(allowed: list[tuple[float, float]], window: float) -> int:
    """Return the most requests that were certainly within one window: sent and answered in it.

    Args:
        allowed: (sent, received) of each.
        window: Seconds.
    """
    return max(
        (sum(begin <= sent and received < begin + window for sent, received in allowed) for begin, _ in allowed),
        default=0,
    )


@contextmanager
def redis_server() -> Iterator[str | None]:
    """Run Debian's Redis on a free port of loopback, without files; yields its address, None without a program."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        try:
            _wait_for(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait(10)


def _wait_for(port: int) -> None:
    deadline = monotonic() + 10
    while monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            sleep(0.05)
        else:
            return
    raise TimeoutError("redis-server did not start in time")


def misses(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that one run misses."""
    name = f"{figures['workers']} workers, {figures['storage']}"
    found = []
    if figures["most_in_a_window"] > figures["limit"] * (1 + TOLERANCE):
        found.append(f"{name}: {figures['most_in_a_window']} in a window of {figures['limit']}")
    if figures["allowed"] < figures["expected"] * (1 - TOLERANCE):
        found.append(f"{name}: {figures['allowed']} of {figures['expected']} allowed")
    if figures["refused_without_retry_after"] or not figures["refused"]:
        found.append(f"{name}: {figures['refused_without_retry_after']} of {figures['refused']} without Retry-After")
    if figures["other_answers"]:
        found.append(f"{name}: {figures['other_answers']} other answers")
    return found


def main() -> int:
    """Run each combination and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller limits and shorter windows")
    plan = QUICK if parser.parse_args().quick else Plan()
    with tempfile.TemporaryDirectory() as name, redis_server() as redis:
        storages = ["memory"] + ([] if redis is None else [redis])
        runs = [measure(Path(name), plan, workers, storage) for storage in storages for workers in (1, 4)]
    missed = [sentence for run in runs for sentence in misses(run)]
    if redis is None:
        missed.append("redis was not tested: there is no redis-server on PATH")
    print(json.dumps({"runs": runs, "missed": missed}, indent=1))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
