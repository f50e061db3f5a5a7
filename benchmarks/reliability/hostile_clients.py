"""Oversize requests and slow clients against the API: refused or closed within the limits, memory flat.

Each case runs against one API process over real sockets. Run from the repository's root:

    python -m benchmarks.reliability.hostile_clients [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: each case has the right status, or is closed, within
its limit; memory grows by less than 50 MB; the API still answers; no connection stays open. It takes two minutes.
"""

import argparse
import json
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from benchmarks.reliability.api_process import HEALTH, Api, Exchange, exchange, running_api
from benchmarks.speed.api_ledger import fill

MEMORY_BAR_MB = 50.0
AT_ONCE_SECONDS = 2.0
SLACK_SECONDS = 3.0
_HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_POST = b"POST /v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run of the trial sends.

    Attributes:
        megabytes: Size of each oversize request.
        clients: Slow clients at a time.
        request_seconds: The API's limit for headers and body.
        page: A large answer, for clients that do not read it; empty = the chart library, 4.8 MB.
    """

    megabytes: int = 300
    clients: int = 200
    request_seconds: float = 5.0
    page: str = ""


QUICK = Size(page="/openapi.json", megabytes=10, clients=10, request_seconds=1.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of oversize request: its parts, and the statuses that are right."""

    name: str
    parts: Iterable[bytes]
    statuses: tuple[int | None, ...]


def oversize_cases(size: Size) -> Iterator[Case]:
    """Yield requests that are too large in one way each."""
    block = b"a" * 1_000_000
    blocks = [block] * size.megabytes
    chunks = [b"f4240\r\n" + block + b"\r\n"] * size.megabytes
    chunked = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
    yield Case("one header", [_HEAD + b"X-Long: ", *blocks], (431,))
    yield Case("many headers", [_HEAD, *(b"X-%d: 1\r\n" % n for n in range(20_000 * size.megabytes // 10))], (431,))
    yield Case("query", [b"GET /healthz?", *blocks], (414, 431))
    yield Case("path", [b"GET /", *blocks], (414, 431))
    yield Case("method", [b"G" * 1_000_000, *blocks], (400,))
    yield Case("no request, line ends alone", [b"\r\n" * 500_000] * size.megabytes, (431,))
    yield Case(
        "body with its length", [_POST + b"Content-Length: %d\r\n\r\n" % (10**6 * size.megabytes), *blocks], (413,)
    )
    yield Case("body in chunks", [_POST + b"Transfer-Encoding: chunked\r\n\r\n", *chunks], (413, 405))
    tiny = b"1\r\na\r\n" * 100_000
    yield Case(
        "body in chunks of a byte",
        [chunked, *[tiny] * size.megabytes],
        (413, 405),
    )
    trailers = b"X-Trailer: 1\r\n" * 70_000
    yield Case("trailers", [chunked + b"0\r\n", *[trailers] * size.megabytes], (431, 405, None))
    yield Case("both lengths", [_POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], (400,))
    yield Case("requests sent ahead", [(_HEAD + b"\r\n") * 5_000], (400, None, 200))
    page = b"GET /v1/forecasts?limit=1000000 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    yield Case("page", [page], (422,))
    yield Case("foreign host", [HEALTH.replace(b"127.0.0.1", b"rebound.example")], (421,))
    yield Case("no host", [b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"], (400,))


def slow_cases() -> Iterator[tuple[str, Sequence[bytes], tuple[int | None, ...]]]:
    """Yield what slow clients send: parts with pauses, and the statuses that are right."""
    yield "silent", [], (None,)
    yield "half a head", [_HEAD + b"X-Slow: "], (408,)
    yield "a head byte by byte", [_HEAD, *[b"X-Slow: 1\r\n"] * 90], (408,)
    yield "no body", [_POST + b"Content-Length: 100\r\n\r\n"], (405, 408)
    yield "a body byte by byte", [_POST + b"Content-Length: 100\r\n\r\n", *[b"a"] * 90], (405, 408)


def trial(folder: Path, size: Size, database: Path | None = None) -> dict[str, Any]:
    """Return the figures of one run.

    Args:
        folder: For the database.
        size: How much.
        database: An SQLite file; None = a filled one is made.
    """
    if database is None:
        database = folder / "filled.db"
        fill(database)
    settings = {"TPLUS_REQUEST_SECONDS": str(size.request_seconds), "TPLUS_MAX_CONNECTIONS_PER_ADDRESS": "1000"}
    with running_api(database, settings) as api:
        if not size.page:
            size = replace(size, page=_chart_library(api))
        _warm_up(api, size)
        before, files = api.megabytes(), api.open_files()
        peak = _Peak(api)
        with peak:
            oversize = {case.name: _report(case, exchange(api, case.parts)) for case in oversize_cases(size)}
            slow = {name: _slow(api, size, parts, right) for name, parts, right in slow_cases()}
            unread = _unread(api, size)
        sleep(SLACK_SECONDS)
        return {
            "oversize": oversize,
            "slow": slow,
            "clients_that_do_not_read": unread,
            "memory_before_mb": round(before, 1),
            "memory_peak_mb": round(peak.megabytes, 1),
            "memory_after_mb": round(api.megabytes(), 1),
            "files_left_open": api.open_files() - files,
            "still_answers": exchange(api, [HEALTH]).status == 200,
        }


def _chart_library(api: Api) -> str:
    with api.connect() as client:
        client.sendall(_request("/"))
        received = b""
        while data := client.recv(65_536):
            received += data
    (path,) = set(re.findall(rb'"(/static/plotly-[^"]+)"', received))
    return str(path, "ascii")


def _warm_up(api: Api, size: Size) -> None:
    """Let as many well-behaved clients read the large page: what that takes is no effect of hostile ones."""
    for _ in range(3):
        threads = [
            threading.Thread(target=exchange, args=(api, [_request(size.page)], 60.0)) for _ in range(size.clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class _Peak:
    """Reads the memory every 50 ms during a block."""

    def __init__(self, api: Api) -> None:
        self.megabytes = api.megabytes()
        self._api, self._stop = api, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.megabytes = max(self.megabytes, self._api.megabytes())


def _request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()


def _report(case: Case, done: Exchange) -> dict[str, Any]:
    is_right = done.status in case.statuses and done.is_closed and done.seconds <= AT_ONCE_SECONDS + SLACK_SECONDS
    return {**asdict(done), "seconds": round(done.seconds, 2), "is_right": is_right}


def _slow(api: Api, size: Size, parts: Sequence[bytes], right: tuple[int | None, ...]) -> dict[str, Any]:
    """Return what many slow clients of one kind met, and whether others were served meanwhile."""
    results: list[Exchange] = []
    pause = 0.0 if len(parts) < 2 else size.request_seconds / 20

    def run() -> None:
        results.append(exchange(api, parts, 6 * size.request_seconds, pause))

    threads = [threading.Thread(target=run) for _ in range(size.clients)]
    for thread in threads:
        thread.start()
    begin = monotonic()
    served = exchange(api, [HEALTH]).status == 200
    served_seconds = monotonic() - begin
    for thread in threads:
        thread.join()
    # A slow sender notices at its next part only that the connection is closed.
    limit = size.request_seconds + SLACK_SECONDS + 2.0
    wrong = [each for each in results if each.status not in right or not each.is_closed or each.seconds > limit]
    return {
        "clients": len(results),
        "longest_seconds": round(max(each.seconds for each in results), 2),
        "others_served_in_seconds": round(served_seconds, 2),
        "is_right": served and not wrong,
    }


def _unread(api: Api, size: Size) -> dict[str, Any]:
    """Request large pages on many connections, and read nothing."""
    request = _request(size.page).replace(b"Connection: close\r\n", b"") * 6
    clients = []
    for _ in range(size.clients):
        client = api.connect()
        client.sendall(request)
        clients.append(client)
    sleep(2 * size.request_seconds)
    served = exchange(api, [HEALTH]).status == 200
    for client in clients:
        client.close()
    return {"clients": len(clients), "is_right": served}


def misses(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = [
        f"{name}: {done}"
        for part in ("oversize", "slow")
        for name, done in figures[part].items()
        if not done["is_right"]
    ]
    if not figures["clients_that_do_not_read"]["is_right"] or not figures["still_answers"]:
        found.append("the API does not answer other clients")
    grown = figures["memory_peak_mb"] - figures["memory_before_mb"]
    if grown > MEMORY_BAR_MB:
        found.append(f"memory grew by {grown:.0f} MB")
    if figures["files_left_open"] > 2:
        found.append(f"{figures['files_left_open']} files stay open")
    return found


def main() -> int:
    """Run the trial and print its figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="10 MB and 10 clients instead of 300 and 200")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = trial(Path(folder), QUICK if arguments.quick else Size())
    missed = misses(figures)
    print(json.dumps({**figures, "missed": missed}, indent=1))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
