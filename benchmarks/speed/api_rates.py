"""Requests per second of the API against a bare Starlette application in the same server, in the same run.

    python -m benchmarks.speed.api_rates [--quick]

Both sides take turns under `wrk` with 16 connections: answers that are kept (`hit`), their 304, a watchlist page and a
batch of 100 against as many ready bytes, and forecasts that are not kept (`miss`). The API runs as the product starts
it: with a key, a rate limit that refuses nothing, and metrics; `logged` is a hit with a log line per request. The
latency is that of 64 connections that send at random times, together at half the rate of the bare route.

One and two workers, 100 and 10,000 symbols, SQLite, and PostgreSQL where its binaries are found. `--quick` measures
one worker and 100 symbols in SQLite, a second for each figure.
"""

import argparse
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.reliability.api_process import running_api
from benchmarks.results import Ratio, publish
from benchmarks.speed.api_ledger import Size, fill_database
from benchmarks.speed.wrk import Answered, Load, NoWrk, run_wrk
from service.access.keys import NewKey, create_key
from service.clock import process_now
from service.db.session import Database
from service.vocabulary import Scope
from tests.support.postgres import NoPostgres, Options, find_binaries, free_port, running_server

RUNS = 5
BATCH = 100
_LOWEST = 0.8
_PACED_CONNECTIONS = 64
_REPOSITORY = Path(__file__).parents[2]
_SETTINGS = {
    "TPLUS_OPEN_READS": "false",
    "TPLUS_RATE_LIMIT": "999999/second",
    "TPLUS_ANSWER_CACHE_MB": "256",
    "TPLUS_LOG_LEVEL": "error",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured together.

    Attributes:
        backend: sqlite or postgresql.
        symbols: Symbols of the watchlist.
        workers: Worker processes of both sides.
    """

    backend: str
    symbols: int
    workers: int

    @property
    def name(self) -> str:
        """Return the end of its ratios' names."""
        return f"{self.backend}.{self.symbols}_symbols.{self.workers}_workers"


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled database.

    Attributes:
        url: Its URL.
        token: A key that may read.
        names: Its symbols.
    """

    url: str
    token: str
    names: tuple[str, ...]


def filled(url: str, symbols: int) -> Filled:
    """Fill an empty database with forecasts of some symbols, and add a key."""
    database, size = Database(url), Size(symbols=symbols, editions=3, bars=120, with_bars=min(symbols, 200))
    fill_database(database, size)
    with database.transaction() as connection:
        _, token = create_key(connection, NewKey("wrk", frozenset({Scope.READ})), process_now())
    database.close()
    return Filled(url, token, size.names)


@contextmanager
def bare_api(workers: int, sizes: list[int]) -> Iterator[str]:
    """Serve the bare application; yields its URL."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.speed.bare_api", str(port), str(workers), *map(str, sizes)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=_REPOSITORY)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
            client.get(f"http://127.0.0.1:{port}/json").raise_for_status()
        yield f"http://127.0.0.1:{port}"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


class Turns:
    """Takes turns between the sides of one case.

    Args:
        folder: For files of wrk.
        seconds: Length of one turn.
    """

    def __init__(self, folder: Path, seconds: int) -> None:
        self._folder, self._seconds = folder, seconds
        self.rates: defaultdict[str, list[float]] = defaultdict(list)
        self.p99: defaultdict[str, list[float]] = defaultdict(list)

    def take(self, loads: Mapping[str, Load]) -> None:
        """Measure the rate of each load once."""
        for name, load in loads.items():
            self.rates[name].append(self._run(load, None).rate)

    def pace(self, loads: Mapping[str, Load], rate: float) -> None:
        """Measure the latency of each load once, at a fixed rate."""
        for name, load in loads.items():
            self.p99[name].append(self._run(load, rate).p99)

    def ratio(self, over: str, under: str) -> tuple[float, ...]:
        """Return the ratio of two rates in each turn."""
        return tuple(a / b for a, b in zip(self.rates[over], self.rates[under], strict=True))

    def _run(self, load: Load, rate: float | None) -> Answered:
        if rate is None:
            return run_wrk(load, self._seconds, self._folder)
        return run_wrk(load, self._seconds, self._folder, connections=_PACED_CONNECTIONS, rate=rate)


def measure(case: Case, data: Filled, folder: Path, seconds: int) -> tuple[list[Ratio], dict[str, float | str]]:
    """Measure one case; returns its ratios, and rates of this machine."""
    settings = {**_SETTINGS, "TPLUS_WORKERS": str(case.workers), "TPLUS_DATABASE_URL": data.url}
    headers = {"Authorization": f"Bearer {data.token}"}
    one = [f"/v1/forecasts/{name}" for name in data.names]
    batch = f"/v1/forecasts?symbols={','.join(data.names[:BATCH])}"
    turns, quiet = Turns(folder, seconds), {"TPLUS_ACCESS_LOG": "false"}
    with ExitStack() as ends:
        api = ends.enter_context(running_api(folder / "unused.db", settings | quiet))
        log = ends.enter_context((folder / "log").open("wb"))  # tens of thousands of lines
        logged = ends.enter_context(running_api(folder / "unused.db", settings | {"TPLUS_LOG_LEVEL": "info"}, log))
        cold = ends.enter_context(running_api(folder / "unused.db", settings | quiet | {"TPLUS_ANSWER_CACHE_MB": "0"}))
        own, with_log, without = (f"http://127.0.0.1:{each.port}" for each in (api, logged, cold))
        with httpx.Client(base_url=own, headers=headers, timeout=120) as client:
            sizes = [len(client.get(path).raise_for_status().content) for path in ("/v1/watchlist", batch)]
        bare = ends.enter_context(bare_api(case.workers, sizes))
        loads = {
            "bare": Load(bare, ["/json"]),
            "hit": Load(own, one, headers),
            "logged": Load(with_log, one, headers),
            "not_modified": Load(own, one, headers, tags(own, one, headers)),
            "ready_page": Load(bare, [f"/bytes/{sizes[0]}"]),
            "watchlist": Load(own, ["/v1/watchlist"], headers),
            "ready_batch": Load(bare, [f"/bytes/{sizes[1]}"]),
            "batch": Load(own, [batch], headers),
            "miss": Load(without, one, headers),
        }
        for name in ("hit", "logged", "watchlist", "batch", "miss"):  # every worker reads every answer once
            for _ in range(case.workers if case.workers == 1 else 3):
                run_wrk(loads[name], 1 if case.symbols < 1000 else 12, folder)
        for _ in range(RUNS):
            turns.take(loads)
        half = sorted(turns.rates["bare"])[RUNS // 2] / 2
        for _ in range(RUNS):
            turns.pace({name: loads[name] for name in ("bare", "hit")}, half)
    return ratios(case, turns), figures(case, turns)


def tags(url: str, paths: list[str], headers: Mapping[str, str]) -> list[str]:
    """Return the entity tags of paths."""
    with httpx.Client(base_url=url, headers=dict(headers), timeout=120) as client:
        return [client.get(path).raise_for_status().headers["etag"] for path in paths]


def ratios(case: Case, turns: Turns) -> list[Ratio]:
    """Return the ratios of one case."""
    where = f"{case.backend}, {case.symbols:,} symbols, {case.workers} workers"
    bars = (
        ("hit", "bare", "hit / bare JSON route", _LOWEST),
        ("not_modified", "bare", "304 / bare JSON route", _LOWEST),
        ("logged", "bare", "hit with a log line / bare JSON route", None),
        ("watchlist", "ready_page", "watchlist page / as many ready bytes", _LOWEST),
        ("batch", "ready_batch", "batch of 100 / as many ready bytes", _LOWEST),
        ("miss", "bare", "miss / bare JSON route", 0.10 if case.backend == "sqlite" else 0.06),
    )
    found = [
        Ratio(f"{over}.{case.name}", f"{what}: {where}", turns.ratio(over, under), low=low, better="higher")
        for over, under, what, low in bars
    ]
    slower = tuple(a / b for a, b in zip(turns.p99["hit"], turns.p99["bare"], strict=True))
    return [*found, Ratio(f"p99.{case.name}", f"p99 of a hit at half capacity / bare route's: {where}", slower, high=3)]


def figures(case: Case, turns: Turns) -> dict[str, float | str]:
    """Return rates and latencies of this machine, for the record."""
    rates = {f"{name}.{case.name}, requests/s": sorted(runs)[RUNS // 2] for name, runs in turns.rates.items()}
    latencies = {f"p99 {name}.{case.name}, ms": sorted(runs)[RUNS // 2] * 1e3 for name, runs in turns.p99.items()}
    return {**rates, **latencies}


def main() -> int:
    """Measure every case."""
    parser = argparse.ArgumentParser(description="rates of the API against a bare application")
    parser.add_argument("--quick", action="store_true", help="one worker, 100 symbols, SQLite, short turns")
    parser.add_argument("--seconds", type=int, default=2, help="length of one turn")
    arguments = parser.parse_args()
    sizes, workers = ((100,), (1,)) if arguments.quick else ((100, 10_000), (1, 2))
    seconds = 1 if arguments.quick else arguments.seconds
    found: list[Ratio] = []
    noted: dict[str, float | str] = {}
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        backends = ["sqlite"]
        if not arguments.quick:
            try:
                server = ends.enter_context(running_server(find_binaries(), Options(command=())))
                backends.append("postgresql")
            except NoPostgres as error:
                print(f"PostgreSQL is left out: {error}")
        for backend in backends:
            for symbols in sizes:
                name = f"{symbols}.db"
                is_file = backend == "sqlite"
                url = f"sqlite:///{folder / name}" if is_file else server.databases.url(server.databases.create())
                data = filled(url, symbols)
                for count in workers:
                    try:
                        more, absolute = measure(Case(backend, symbols, count), data, folder, seconds)
                    except NoWrk as error:
                        print(error, file=sys.stderr)
                        return 2
                    found += more
                    noted |= absolute
                    print("\n".join(f"{ratio.name} {ratio.value:.3f}" for ratio in more), flush=True)
    return publish("api_rates", found, noted)


if __name__ == "__main__":
    sys.exit(main())
