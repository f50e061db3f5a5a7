"""Scrapes under load: they equal the database and what the clients count, and memory is flat.

A ledger of thousands of symbols is written; one process serves it while a writer ends runs with outcomes, readers
request every kind of route, and a scraper reads the metrics. At the end the newest scrape is compared with counts of
the database by other queries, and with the answers that the clients counted. Run from the repository's root:

    python -m benchmarks.reliability.metrics [--symbols 3000] [--seconds 300] [--url postgresql://...] [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: no difference between scrape and counts, the number of
series independent of the number of symbols, 95 % of the scrapes within half a second, and the median memory of the last
third of the samples at most 3 % above that of the middle third.
"""

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, insert, text

from service.api.metrics.database_metrics import KEPT_SECONDS
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import instruments, market_clock, run_outcomes, runs, sessions, stamp, track_records

SCRAPE_BAR = 0.5
MEMORY_BAR = 1.03
LEAST_ANSWERS, LEAST_SCRAPES = 20, 3
LIMIT_SECONDS = 60.0
"""How much longer a busy machine may take for the least of both."""
CALENDARS = ("XNYS", "XLON", "XTKS", "24/7")
JOBS = ("pull", "score", "forecast", "train")
START = datetime(2026, 1, 1, tzinfo=UTC)
_PATHS = {
    "/v1/status": "/v1/status",
    "/v1/symbols?limit=10": "/v1/symbols",
    "/v1/runs?limit=10": "/v1/runs",
    "/v1/runs/1": "/v1/runs/{id}",
    "/v1/runs/999999999": "/v1/runs/{id}",
    "/v1/accuracy?limit=10": "/v1/accuracy",
    "/v1/prices/S1": "/v1/prices/{symbol}",
    "/v1/prices/NOTHING": "/v1/prices/{symbol}",
    "/v1/forecasts/S1?as_of=never": "/v1/forecasts/{symbol}",
    "/healthz": "/healthz",
    "/nowhere": "unmatched",
}
"""Requested paths, and the route that each counts for."""
_REPOSITORY = Path(__file__).parents[2]
_PAUSE_SECONDS = 0.02

Counts = dict[str, float]


@dataclass
class Load:
    """What the clients and the scraper saw.

    Attributes:
        answers: Answers by route and class of status.
        scrapes: Seconds of each scrape.
        memory: Resident bytes of the process after each scrape.
        faults: Failures of any of them.
    """

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    scrapes: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def write_ledger(database: Database, symbols: int, sessions_back: int) -> None:
    """Write a watchlist with its track records, and the ended runs of some sessions with their outcomes.

    Args:
        database: Empty, at the newest migration.
        symbols: Symbols of the watchlist.
        sessions_back: Sessions of each calendar with a run of each job.
    """
    with database.transaction() as connection:
        values = {"id": 1, "source": "sample", "clock_mode": "replay", "start_at": START, "created_at": START}
        connection.execute(insert(stamp).values(**values))
        connection.execute(insert(market_clock).values(id=1, now=START, record_end=None))
        names = [(f"S{number}", CALENDARS[number % len(CALENDARS)]) for number in range(symbols)]
        row = {
            "instrument_type": "EQUITY", "group": "equity", "active": True, "reference": False, "basis": 0,
            "state_since": START, "added_at": START, "last_session": date(2025, 12, 30),
        }  # fmt: skip
        states = ("ok", "ok", "ok", "suspect", "failing")
        connection.execute(
            insert(instruments),
            [{**row, "symbol": name, "calendar": calendar, "state": random.choice(states)} for name, calendar in names],
        )
        days = [date(2025, 12, 31) - timedelta(days=number) for number in range(30)]
        connection.execute(
            insert(sessions),
            [
                {"calendar": calendar, "session": day, "open_at": _noon(day), "close_at": _noon(day, 6),
                 "state": "expected", "approximate": False}
                for calendar in CALENDARS for day in days
            ],
        )  # fmt: skip
        record = {
            "strategy": "multi_step", "forecaster": "served", "mode": "replay", "as_of": days[0], "n": 100,
            "pinball": 0.0027, "skill": 0.1, "coverage_50": 0.5, "coverage_80": 0.8, "coverage_95": 0.95, "mae": 0.01,
        }  # fmt: skip
        scopes = [("symbol", name) for name, _ in names] + [("group", "equity")]
        connection.execute(
            insert(track_records),
            [{**record, "scope_kind": kind, "scope": scope, "step": step} for kind, scope in scopes for step in (1, 2)],
        )
    for number in range(sessions_back):
        with database.transaction() as connection:
            end_runs(connection, number, names)


def _noon(day: date, hours: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(hours=hours)


def end_runs(connection: Connection, number: int, names: list[tuple[str, str]]) -> None:
    """Write one run per calendar and job, with outcomes and counts of their own."""
    for calendar in CALENDARS:
        for job in JOBS:
            states = {name: random.choice(("forecast", "forecast", "missed")) for name, own in names if own == calendar}
            has_outcomes = job == "forecast"
            begin = START + timedelta(hours=number)
            values = {
                "job": job, "scope": calendar, "scheduled_for": begin, "sequence": 0, "session": date(2025, 12, 30),
                "state": random.choice(("done", "done", "done", "failed", "superseded")), "attempt": 1, "token": 2,
                "counts": Counter(states.values()) if has_outcomes else {"ok": len(states)},
                "takeovers": random.randrange(3), "fenced": random.randrange(2), "faults": random.randrange(2),
                "started_at": begin, "finished_at": begin + timedelta(seconds=random.choice((0.5, 7, 400, 4000))),
            }  # fmt: skip
            run_id = connection.execute(insert(runs).values(**values).returning(runs.c.id)).scalar_one()
            if has_outcomes and states:
                rows = [{"run_id": run_id, "symbol": name, "state": state} for name, state in states.items()]
                connection.execute(insert(run_outcomes), rows)


@contextmanager
def serving(url: str, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run the API over a database for a block; yields its URL and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    settings = {"DATABASE_URL": url, "PORT": str(port), "DATA_DIR": str(folder)}
    environment = plain | {f"TPLUS_{name}": value for name, value in settings.items()}
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.app"],
            env=environment, stdout=subprocess.PIPE, stderr=log, text=True, cwd=_REPOSITORY,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"], psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def scrape(client: httpx.Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return the samples of a scrape by name and sorted labels."""
    families = text_string_to_metric_families(client.get("/metrics").raise_for_status().text)
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value for family in families for each in family.samples
    }


def load(url: str, process: psutil.Process, database: Database, symbols: int, seconds: float) -> Load:
    """Read, write and scrape for some seconds."""
    seen = Load()
    end = monotonic() + seconds
    names = [(f"S{number}", CALENDARS[number % len(CALENDARS)]) for number in range(symbols)]

    def is_loading() -> bool:
        """Whether the time is not over, or a busy machine has done too little in it."""
        now = monotonic()
        enough = seen.answers.total() >= LEAST_ANSWERS and len(seen.scrapes) >= LEAST_SCRAPES
        return now < end or (not enough and now < end + LIMIT_SECONDS)

    def guarded(work: Any) -> None:
        try:
            work()
        except Exception as error:
            with seen.lock:
                seen.faults.append(f"{work.__name__}: {type(error).__name__}: {error}"[:300])

    def read() -> None:
        chosen = random.Random(threading.get_ident())
        with httpx.Client(base_url=url, timeout=60) as client:
            while is_loading():
                path = chosen.choice(list(_PATHS))
                status = client.get(path).status_code
                with seen.lock:
                    seen.answers[_PATHS[path], f"{status // 100}xx"] += 1
                sleep(_PAUSE_SECONDS)

    def write() -> None:
        number = 1_000_000
        while is_loading():
            with database.transaction() as connection:
                end_runs(connection, number, names)
            number += 1
            sleep(1.0)

    def scrape_often() -> None:
        with httpx.Client(base_url=url, timeout=60) as client:
            while is_loading():
                begin = monotonic()
                scrape(client)
                seen.scrapes.append(monotonic() - begin)
                seen.memory.append(process.memory_info().rss)
                sleep(0.2)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (read, read, write, scrape_often)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def counted(database: Database) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return samples as plain SQL counts them, from the rows and not from the counts that runs keep."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    seconds = "(julianday(finished_at) - julianday(started_at)) * 86400"
    if not database.is_sqlite:
        seconds = "extract(epoch from finished_at - started_at)"
    queries = {
        "SELECT 'tplus_runs', count(*), 'job_name', job, 'state', state FROM runs GROUP BY job, state",
        "SELECT 'tplus_run_takeovers_total', sum(takeovers), 'job_name', job FROM runs GROUP BY job",
        "SELECT 'tplus_run_fenced_total', sum(fenced), 'job_name', job FROM runs GROUP BY job",
        "SELECT 'tplus_run_faults_total', sum(faults), 'job_name', job FROM runs GROUP BY job",
        "SELECT 'tplus_run_duration_seconds_count', count(*), 'job_name', job FROM runs "
        "WHERE state IN ('done', 'failed') GROUP BY job",
        "SELECT 'tplus_run_duration_seconds_bucket', count(*), 'job_name', job, 'le', '60.0' FROM runs "
        "WHERE state IN ('done', 'failed') AND SECONDS <= 60 GROUP BY job",
        "SELECT 'tplus_forecast_outcomes_total', count(*), 'outcome', state FROM run_outcomes GROUP BY state",
        "SELECT 'tplus_symbols', count(*), 'state', state FROM instruments WHERE active GROUP BY state",
        "SELECT 'tplus_track_record_forecasts', n, 'group', scope, 'strategy', strategy, 'step', "
        "CAST(step AS VARCHAR), 'mode', mode FROM track_records WHERE scope_kind = 'group'",
    }
    with database.reading() as connection:
        for query in queries:
            for name, value, *labels in connection.execute(text(query.replace("SECONDS", seconds))):
                pairs = sorted(zip(labels[::2], labels[1::2], strict=True))
                found[name, tuple(pairs)] = float(value)
    return found


def compare(client: httpx.Client, database: Database, answers: Counter[tuple[str, str]]) -> list[str]:
    """Return the differences between a scrape, the database, and the answers that clients counted."""
    samples = scrape(client)
    expected = counted(database)
    for (route, status), count in answers.items():
        labels = (("method", "GET"), ("route", route), ("status", status))
        expected["tplus_http_requests_total", labels] = count
        expected["tplus_http_request_duration_seconds_count", labels] = count
    return [
        f"{name}{dict(labels)} is {samples.get((name, labels))}, counted {value}"
        for (name, labels), value in sorted(expected.items())
        if samples.get((name, labels)) != value
    ]


def trial(url: str, folder: Path, symbols: int, sessions_back: int, seconds: float) -> dict[str, Any]:
    """Run the trial on an empty database; returns its figures."""
    database = Database(url)
    try:
        upgrade(database)
        write_ledger(database, symbols, sessions_back)
        with serving(url, folder) as (address, process), httpx.Client(base_url=address, timeout=60) as client:
            before = len(scrape(client))
            seen = load(address, process, database, symbols, seconds)
            sleep(KEPT_SECONDS + 0.5)  # the numbers of the last scrape are kept so long
            differences = compare(client, database, seen.answers)
            samples = scrape(client)
            (took,) = (value for (name, _), value in samples.items() if name == "tplus_database_collection_seconds")
        with database.reading() as connection:
            ended = connection.execute(text("SELECT count(*) FROM runs")).scalar_one()
    finally:
        database.close()
    third = max(len(seen.memory) // 3, 1)
    ordered = sorted(seen.scrapes)
    return {
        "database": "sqlite" if database.is_sqlite else "postgresql", "symbols": symbols, "runs": int(ended),
        "answers": sum(seen.answers.values()), "scrapes": len(ordered), "differences": differences,
        "faults": seen.faults, "series_before": before, "series": len(samples),
        "series_per_symbol": sum("S1" in dict(labels).values() for _, labels in samples),
        "scrape_p50_seconds": round(statistics.median(ordered), 4),
        "scrape_p95_seconds": round(ordered[int(len(ordered) * 0.95)], 4),
        "collection_seconds": round(took, 4), "memory_mib": round(seen.memory[-1] / 2**20, 1),
        "memory_ratio": round(
            statistics.median(seen.memory[-third:]) / statistics.median(seen.memory[-2 * third : -third] or [1]), 4
        ),
    }  # fmt: skip


def misses(figures: dict[str, Any], *, judge_seconds: bool) -> list[str]:
    """Return the bars that are missed."""
    found = [*figures["differences"], *figures["faults"]]
    if figures["answers"] < LEAST_ANSWERS or figures["scrapes"] < LEAST_SCRAPES:
        found.append("too few answers or scrapes")
    if figures["series_per_symbol"]:
        found.append(f"{figures['series_per_symbol']} series name a symbol")
    if judge_seconds and figures["scrape_p95_seconds"] > SCRAPE_BAR:
        found.append(f"95 % of the scrapes take up to {figures['scrape_p95_seconds']} s")
    if judge_seconds and figures["memory_ratio"] > MEMORY_BAR:
        found.append(f"memory grew by the factor {figures['memory_ratio']}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the trial; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=3000)
    parser.add_argument("--sessions", type=int, default=250, help="sessions of each calendar with ended runs")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--url", help="an empty database; without it a new SQLite file")
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args(arguments)
    symbols, back, seconds = (40, 3, 3.0) if chosen.quick else (chosen.symbols, chosen.sessions, chosen.seconds)
    with tempfile.TemporaryDirectory() as folder:
        url = chosen.url or f"sqlite:///{folder}/ledger.db"
        figures = trial(url, Path(folder), symbols, back, seconds)
    figures["misses"] = misses(figures, judge_seconds=not chosen.quick)
    print(json.dumps(figures, indent=2))
    return 1 if figures["misses"] else 0


if __name__ == "__main__":
    sys.exit(main())
