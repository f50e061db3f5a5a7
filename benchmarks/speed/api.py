"""Start, memory and latency of the API process, over a filled SQLite database and real HTTP on loopback.

Run from the repository root: `python -m benchmarks.speed.api`. Prints `name value unit bar`, and exits with 1
if a bar is missed. Latencies are those of one client, one request after another.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import httpx
import psutil

from benchmarks.speed.api_ledger import AS_OF, SYMBOLS, fill

_REPOSITORY = Path(__file__).parents[2]
_BAR_START = 2.0
_BAR_RSS_START = 100.0
_BAR_RSS_AFTER = 200.0
_BAR_MISS = 100.0
_REQUESTS = 300

ROUTES = (
    "/healthz", "/readyz", "/docs", "/openapi.json", "/v1/forecasts/S000", "/v1/forecasts", "/v1/forecasts?limit=500",
    f"/v1/forecasts?as_of={AS_OF}&limit=500", "/v1/forecasts/S000/history", "/v1/forecasts/S000/history?limit=500",
    "/v1/prices/S000", "/v1/prices/S000?limit=500", "/v1/symbols", "/v1/models", "/v1/models/1", "/v1/runs",
    "/v1/runs/1", "/v1/accuracy?limit=500", "/", "/v1/status", "/v1/watchlist", "/v1/watchlist?sort=skill&limit=200",
    "/v1/figures/S000", "/v1/figures/S000?kind=versus", "/v1/figures/S000?kind=skill", "/v1/figures/S000?range=all",
)  # fmt: skip
"""All routes, including the large pages."""


@contextmanager
def running(database: Path | str) -> Iterator[tuple[httpx.Client, psutil.Process, float]]:
    """Serve a database, an SQLite file or a URL; yield a client, the process, and the seconds to the first response."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    environment |= {"TPLUS_DATABASE_URL": url, "TPLUS_PORT": str(port)}
    begin = perf_counter()
    command = [sys.executable, "-m", "service.app"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_REPOSITORY
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(base_url=url, timeout=60) as client:
            client.get("/healthz").raise_for_status()
            yield client, psutil.Process(process.pid), perf_counter() - begin
    finally:
        process.terminate()
        process.communicate(timeout=30)


def latencies(client: httpx.Client, path: str, headers: dict[str, str] | None = None) -> list[float]:
    """Return the milliseconds of each of some requests, ascending."""
    took = []
    for _ in range(_REQUESTS):
        begin = perf_counter()
        client.get(path, headers=headers)
        took.append((perf_counter() - begin) * 1000)
    return sorted(took)


def say(name: str, value: float, unit: str, bar: float | None) -> bool:
    """Print one figure and return whether it meets its bar (an upper bound, inclusive)."""
    kept = bar is None or value <= bar
    print(f"{name} {value:.3g} {unit} {'-' if bar is None else f'<={bar:g}'}{'' if kept else ' MISSED'}")
    return kept


def megabytes(process: psutil.Process) -> float:
    """Return the resident memory."""
    return float(process.memory_info().rss) / 1e6


def main() -> int:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "filled.db"
        fill(path)
        starts = []
        for _ in range(3):
            with running(path) as (_client, process, seconds):
                starts.append(seconds)
                at_start = megabytes(process)
        kept = [say("api_start", statistics.median(starts), "s", _BAR_START)]
        kept.append(say("api_rss_at_start", at_start, "MB", _BAR_RSS_START))
        with running(path) as (client, process, _seconds):
            for _ in range(3):
                for route in ROUTES:
                    client.get(route).raise_for_status()
            kept.append(say("api_rss_after_every_route", megabytes(process), "MB", _BAR_RSS_AFTER))
            kept += latency_figures(client)
    return 0 if all(kept) else 1


def latency_figures(client: httpx.Client) -> list[bool]:
    """Measure the latency of the forecast routes, with and without an ETag that the client holds."""
    tag = client.get("/v1/forecasts/S000").headers["etag"]
    cases = {
        "healthz": ("/healthz", None),
        "forecast": ("/v1/forecasts/S000", None),
        "forecast_not_modified": ("/v1/forecasts/S000", {"If-None-Match": tag}),
        "history": ("/v1/forecasts/S000/history", None),
        "prices": ("/v1/prices/S000", None),
    }
    kept = []
    for name, (path, headers) in cases.items():
        took = latencies(client, path, headers)
        say(f"api_{name}_p50", took[len(took) // 2], "ms", None)
        kept.append(say(f"api_{name}_p99", took[int(len(took) * 0.99)], "ms", _BAR_MISS))
    begin = perf_counter()
    client.get("/v1/forecasts?limit=500").raise_for_status()
    say(f"api_batch_of_{SYMBOLS}", (perf_counter() - begin) * 1000, "ms", None)
    return kept


if __name__ == "__main__":
    sys.exit(main())
