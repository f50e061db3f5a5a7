"""SIGTERM under load, and workers and their parent killed: no accepted request is dropped, and nothing is left behind.

Clients read over kept and over new connections until the service no longer accepts any. A request counts as dropped if
its connection was accepted and it has no complete answer. Run from the repository's root:

    python -m benchmarks.reliability.stop_under_load [--quick] [--rounds 10]

It prints one JSON document, and exits with 1 if a bar is missed: no request dropped, the end within 20 s, a killed
worker replaced, no worker outliving its killed parent by 20 s. It takes two minutes.
"""

import argparse
import json
import os
import signal
import socket
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil

from benchmarks.reliability.api_process import Api, running_api
from benchmarks.speed.api_ledger import fill

END_BAR_SECONDS = 20.0
CLIENT_SECONDS = 60.0
"""How long a client waits for its answer: longer than the service takes to end."""

_PATHS = ("/v1/symbols", "/v1/forecasts?limit=100", "/v1/status", "/v1/watchlist", "/healthz", "/readyz")


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds of one kind of service, and the load of each."""

    rounds: int = 10
    clients: int = 24
    load_seconds: float = 2.0
    paths: tuple[str, ...] = _PATHS


QUICK = Plan(rounds=1, clients=8, load_seconds=1.0)


@dataclass
class Load:
    """What the clients met.

    Attributes:
        answered: Complete answers.
        bad: Answers that are neither a 2xx nor a 503.
        dropped: Requests on accepted connections without a complete answer.
    """

    answered: int = 0
    bad: int = 0
    dropped: list[str] = field(default_factory=list)


class _Client:
    """Sends requests one after another; every other client uses a new connection for each."""

    def __init__(self, api: Api, number: int, plan: Plan, load: Load) -> None:
        self._api, self._number, self._plan, self._load = api, number, plan, load
        self.stop = threading.Event()

    def run(self) -> None:
        connection: socket.socket | None = None
        count = 0
        while not self.stop.is_set():
            path = self._plan.paths[(self._number + count) % len(self._plan.paths)]
            count += 1
            if connection is None:
                try:
                    connection = self._api.connect(CLIENT_SECONDS)
                except OSError:  # not accepted
                    return
            keep = self._exchange(connection, path)
            if not keep:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _exchange(self, connection: socket.socket, path: str) -> bool:
        """Return whether the connection can be used again."""
        kept = self._number % 2 == 0
        end = "" if kept else "Connection: close\r\n"
        try:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{end}\r\n".encode())
            status, closes = _read(connection)
        except (OSError, EOFError, ValueError) as error:
            self._load.dropped.append(f"{path} on a {'kept' if kept else 'new'} connection: {error!r}")
            return False
        self._load.answered += 1
        self._load.bad += not (200 <= status < 300 or status == 503)
        return kept and not closes


def _read(connection: socket.socket) -> tuple[int, bool]:
    """Read one answer; returns its status and whether the server closes the connection."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _piece(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
    if not lengths:
        raise ValueError("the answer has no length")
    while len(body) < lengths[0]:
        body += _piece(connection)
    return int(head[9:12]), b"connection: close" in lines


def _piece(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise EOFError("the connection was closed without an answer")
    return data


def stop_once(database: Path, plan: Plan, workers: int) -> tuple[Load, float]:
    """Stop one service under load; returns what the clients met, and the seconds until it had ended."""
    load = Load()
    with running_api(database, {"TPLUS_WORKERS": str(workers)}) as api:
        clients = [_Client(api, number, plan, load) for number in range(plan.clients)]
        threads = [threading.Thread(target=client.run) for client in clients]
        for thread in threads:
            thread.start()
        sleep(plan.load_seconds)
        begin = monotonic()
        api.process.send_signal(signal.SIGTERM)
        api.process.wait(60)
        seconds = monotonic() - begin
        for client in clients:
            client.stop.set()
        for thread in threads:
            thread.join()
    return load, seconds


def kill_worker(database: Path) -> dict[str, Any]:
    """Kill one of two workers, then their parent; returns how long it took to replace it, and to end the others."""
    with running_api(database, {"TPLUS_WORKERS": "2"}) as api:
        first = api.processes()[1:]
        os.kill(first[0].pid, signal.SIGKILL)
        replaced = _until(lambda: len({each.pid for each in api.processes()[1:]} - {first[0].pid}) == 2)
        workers = api.processes()[1:]
        os.kill(api.process.pid, signal.SIGKILL)
        api.process.wait(10)
        ended = _until(lambda: not any(_lives(each) for each in workers))
    return {"replaced_seconds": replaced, "ended_after_parent_seconds": ended}


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _until(is_done: Any, seconds: float = 20.0) -> float | None:
    """Return the seconds until a condition holds; None if it did not within the limit."""
    begin = monotonic()
    while monotonic() - begin < seconds:
        if is_done():
            return round(monotonic() - begin, 2)
        sleep(0.02)
    return None


def trial(folder: Path, plan: Plan, workers: tuple[int, ...] = (1, 4), database: Path | None = None) -> dict[str, Any]:
    """Return the figures of all rounds."""
    if database is None:
        database = folder / "filled.db"
        fill(database)
    figures: dict[str, Any] = {}
    for number in workers:
        rounds = [stop_once(database, plan, number) for _ in range(plan.rounds)]
        figures[f"{number}_workers"] = {
            "rounds": len(rounds),
            "answered": sum(load.answered for load, _ in rounds),
            "bad": sum(load.bad for load, _ in rounds),
            "dropped": [each for load, _ in rounds for each in load.dropped],
            "longest_end_seconds": round(max(seconds for _, seconds in rounds), 2),
        }
    return {"stops": figures, "kills": kill_worker(database)}


def misses(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = []
    for name, stops in figures["stops"].items():
        if stops["dropped"] or stops["bad"]:
            found.append(f"{name}: {len(stops['dropped'])} requests dropped, {stops['bad']} bad answers")
        if stops["longest_end_seconds"] > END_BAR_SECONDS:
            found.append(f"{name}: the end took {stops['longest_end_seconds']} s")
        if not stops["answered"]:
            found.append(f"{name}: no request was answered")
    replaced, ended = figures["kills"].values()
    if replaced is None:
        found.append("a killed worker was not replaced")
    if ended is None or ended > END_BAR_SECONDS:
        found.append("a worker outlived its parent")
    return found


def main() -> int:
    """Run the trial and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one round with fewer clients")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of each kind")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else Plan(rounds=arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        figures = trial(Path(folder), plan)
    missed = misses(figures)
    print(json.dumps({**figures, "missed": missed}, indent=1))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
