"""Three schedulers over one database that stall for longer than their lease: each run is published once.

The schedulers are real processes that replay made-up prices of three exchanges. One after the other is stopped with
SIGSTOP for longer than its lease and continued; on PostgreSQL half of them while they hold locks inside a transaction.
On SQLite one scheduler is active and two are on standby. Run from the repository's root:

    python -m benchmarks.reliability.stalls [--runs 1000] [--database sqlite|postgresql] [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: each forecast run has one edition and each score run
at most one batch of scores, the chains of hashes hold, no session is left out, no run fails, late results were
discarded (else nothing was shown), no deadlock, and no stalled transaction is open for longer than 12 s: a lease, or
the limit of 10 s of a copy, and 2 s.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import func, select, text

from service.db.session import Database
from service.db.tables import editions, forecasts, runs, schedulers, score_batches
from service.forecasts.ledger import verify
from service.market.exchange_calendar import get_calendar
from tests.support.postgres import NoPostgres, Options, find_binaries, running_server

LEASE_SECONDS = 2
SCHEDULERS = 3
CALENDARS = {"AAA": "XNYS", "6758.T": "XTKS", "BP.L": "XLON"}
"""A symbol and its exchange: schedulers work on several exchanges at once."""
FIRST, START, LAST = date(2022, 1, 4), "2022-09-01T23:30:00Z", date(2024, 12, 30)
FENCED = "was taken over by another worker"
OPEN_BAR = 12.0
_REPOSITORY = Path(__file__).parents[2]
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
_IN_TRANSACTION = (
    "SELECT application_name, pid, query FROM pg_stat_activity WHERE datname = current_database() "
    "AND state = 'idle in transaction' AND backend_xid IS NOT NULL AND application_name LIKE 'scheduler-%'"
)


@dataclass(frozen=True)
class Trial:
    """A trial.

    Attributes:
        folder: An empty folder.
        url: An empty database.
        runs: Runs to do.
        limit: Real seconds after which it ends.
        pause: Longest real seconds between two stalls.
        schedulers: Number of schedulers.
    """

    folder: Path
    url: str
    runs: int
    limit: float
    pause: float = 6.0
    schedulers: int = SCHEDULERS


@dataclass
class Stalls:
    """What was done to the schedulers.

    Attributes:
        total: Stalls.
        in_transaction: Those inside a transaction that held locks.
        open_seconds: How long each of those transactions stayed open.
        long_open: Last statement of each that stayed open for too long.
        longest_without_progress: Longest real seconds in which no run ended.
    """

    total: int = 0
    in_transaction: int = 0
    open_seconds: list[float] = field(default_factory=list)
    long_open: list[str] = field(default_factory=list)
    longest_without_progress: float = 0.0


def write_prices(folder: Path) -> None:
    """Write a file of made-up prices for each symbol, on its exchange's sessions."""
    folder.mkdir()
    for seed, (symbol, calendar) in enumerate(CALENDARS.items()):
        days = get_calendar(calendar, FIRST, LAST).table(FIRST, LAST).sessions
        closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(days))))
        lines = [f"{day},{close},{close},1000" for day, close in zip(days, closes, strict=True)]
        (folder / f"{symbol}.csv").write_text("\n".join(["date,close,adj_close,volume", *lines]) + "\n")


def _environment(trial: Trial, name: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("TPLUS_")}
    settings = {
        "DATA_DIR": str(trial.folder),
        "SOURCE": f"files:{trial.folder / 'prices'}",
        "CLOCK": f"replay:{START}:0",
        "DATABASE_URL": trial.url,
        "SYMBOLS": ",".join(CALENDARS),
        "GROUPS": ",".join(f"{symbol}=other" for symbol in CALENDARS),  # a group without networks
        "REFERENCE_SYMBOLS": "",
        "TRAIN_EVERY": "20",
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "POLL_SECONDS": "0.05",
        "RETRY_SECONDS": "0.2",
    }
    return plain | {"PYTHONPATH": str(_REPOSITORY), "PGAPPNAME": name} | {
        f"TPLUS_{key}": value for key, value in settings.items()
    }  # fmt: skip


@contextmanager
def working(trial: Trial) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run the schedulers for a block; they end with SIGTERM."""
    started = []
    try:
        for number in range(trial.schedulers):
            with (trial.folder / f"scheduler-{number}.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", "from service.cli import main; main()", "schedule"],
                    env=_environment(trial, f"scheduler-{number}"),
                    stdout=log,
                    stderr=log,
                    cwd=trial.folder,
                    start_new_session=True,
                )
            started.append(process)
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in started:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _log(trial: Trial) -> str:
    return "".join(path.read_text(errors="replace") for path in trial.folder.glob("scheduler-*.log"))


def _ended(database: Database) -> int:
    """Return the number of runs that have ended; 0 while the database is not there yet."""
    try:
        with database.reading() as connection:
            query = select(func.count()).where(runs.c.state.in_(("done", "failed")))
            return int(connection.execute(query).scalar_one())
    except Exception:
        return 0


def _worker(database: Database, processes: Sequence["subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes] | None":
    """Return a process that works on a run, None if there is none."""
    query = select(schedulers.c.name).join(runs, runs.c.owner == schedulers.c.id).where(runs.c.state == "running")
    with database.reading() as connection:
        pids = {name.rpartition(":")[2] for name in connection.execute(query).scalars()}
    return next((process for process in processes if str(process.pid) in pids), None)


def stall_in_transaction(database: Database, processes: Sequence["subprocess.Popen[bytes]"], stalls: Stalls) -> bool:
    """Stop a scheduler while it holds locks inside a transaction, for longer than its lease; whether one was caught."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        with database.engine.connect() as connection:
            found = connection.execute(text(_IN_TRANSACTION)).first()
            if found is None:
                continue
            process = processes[int(found.application_name.rpartition("-")[2])]
            process.send_signal(signal.SIGSTOP)
            began = time.monotonic()
            connection.rollback()
            still = [row.pid for row in connection.execute(text(_IN_TRANSACTION))]
            connection.rollback()
            if found.pid not in still:
                process.send_signal(signal.SIGCONT)
                continue
            while found.pid in still and time.monotonic() < began + 30:
                time.sleep(0.02)
                still = [row.pid for row in connection.execute(text(_IN_TRANSACTION))]
                connection.rollback()
        if time.monotonic() - began > OPEN_BAR:
            stalls.long_open.append(" ".join(found.query.split())[:200])
        stalls.in_transaction += 1
        stalls.open_seconds.append(round(time.monotonic() - began, 2))
        time.sleep(max(0.0, began + LEASE_SECONDS * 1.5 - time.monotonic()))
        process.send_signal(signal.SIGCONT)
        return True
    return False


def stall(
    database: Database, processes: Sequence["subprocess.Popen[bytes]"], stalls: Stalls, order: random.Random
) -> None:
    """Stop a scheduler for longer than its lease, and continue it."""
    stalls.total += 1
    if not database.is_sqlite and order.random() < 0.5 and stall_in_transaction(database, processes, stalls):
        return
    deadline, chosen = time.monotonic() + 2, None
    while chosen is None and time.monotonic() < deadline:
        chosen = _worker(database, processes)
    chosen = chosen or order.choice(processes)
    chosen.send_signal(signal.SIGSTOP)
    time.sleep(LEASE_SECONDS * order.uniform(1.3, 1.8))
    chosen.send_signal(signal.SIGCONT)


def assess(database: Database) -> dict[str, Any]:
    """Return what the ledger and the runs say of the trial."""
    with database.reading() as connection:
        states = Counter(connection.execute(select(runs.c.state)).scalars())
        done = select(runs.c.id, runs.c.scope, runs.c.session).where(runs.c.job == "forecast", runs.c.state == "done")
        forecast_runs = connection.execute(done).all()
        published = Counter(connection.execute(select(editions.c.run_id)).scalars())
        batches = Counter(connection.execute(select(score_batches.c.run_id)).scalars())
        keys = (forecasts.c.symbol, forecasts.c.as_of, forecasts.c.strategy, forecasts.c.step)
        doubled = connection.execute(select(*keys).group_by(*keys).having(func.count() > 1)).all()
        counts = connection.execute(select(func.sum(runs.c.takeovers), func.sum(runs.c.faults))).one()
        faults = verify(connection)
    left_out = 0
    for calendar in CALENDARS.values():
        sessions = {row.session for row in forecast_runs if row.scope == calendar}
        if sessions:
            expected = get_calendar(calendar, FIRST, LAST).sessions(min(sessions), max(sessions))
            left_out += len(set(expected) - sessions)
    return {
        "runs": dict(states),
        "published_once": sum(published[row.id] == 1 for row in forecast_runs),
        "not_published_once": sum(published[row.id] != 1 for row in forecast_runs)
        + sum(run_id not in {row.id for row in forecast_runs} for run_id in published),
        "score_runs_published_twice": sum(count > 1 for count in batches.values()),
        "forecasts_doubled": len(doubled),
        "sessions_left_out": left_out,
        "ledger_faults": faults,
        "takeovers": int(counts[0] or 0),
        "machine_faults": int(counts[1] or 0),
    }


def run_trial(trial: Trial, seed: int = 0) -> dict[str, Any]:
    """Let the schedulers work and stall until the runs are done; returns the figures."""
    write_prices(trial.folder / "prices")
    database, stalls, order = Database(trial.url), Stalls(), random.Random(seed)
    began = moved = time.monotonic()
    seen = 0
    with working(trial) as processes:
        while (seen < trial.runs or not _log(trial).count(FENCED)) and time.monotonic() < began + trial.limit:
            if seen:
                stall(database, processes, stalls, order)
            for _ in range(int(order.uniform(0.2, trial.pause) / 0.05)):
                time.sleep(0.05)
                now = _ended(database)
                if now > seen:
                    seen, moved = now, time.monotonic()
                elif seen:
                    stalls.longest_without_progress = max(stalls.longest_without_progress, time.monotonic() - moved)
        seconds = time.monotonic() - began
    logs = _log(trial)
    deadlocks = logs.count("waited for each other's locks")
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            deadlocks = max(deadlocks, int(connection.execute(text(_DEADLOCKS)).scalar_one()))
    figures = assess(database) | {
        "ended": seen,
        "seconds": round(seconds, 1),
        "exits": [process.returncode for process in processes],
        "stalls": stalls.total,
        "stalls_in_transaction": stalls.in_transaction,
        "longest_stalled_transaction_s": max(stalls.open_seconds, default=0.0),
        "open_for_too_long": stalls.long_open,
        "longest_without_progress_s": round(stalls.longest_without_progress, 1),
        "fenced": logs.count(FENCED),
        "deadlocks": deadlocks,
        "locked": logs.count("database is locked"),
    }
    database.close()
    return figures


def misses(figures: dict[str, Any], trial: Trial, *, judge_seconds: bool) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = [
        f"{name}: {figures[name]}"
        for name in (
            "not_published_once",
            "score_runs_published_twice",
            "forecasts_doubled",
            "sessions_left_out",
            "ledger_faults",
            "deadlocks",
        )
        if figures[name]
    ]
    if figures["runs"].get("failed"):
        found.append(f"{figures['runs']['failed']} runs failed")
    if figures["ended"] < trial.runs:
        found.append(f"{figures['ended']} of {trial.runs} runs ended within {trial.limit:.0f} s")
    if not figures["takeovers"] or not figures["fenced"]:
        found.append("no late result was discarded: the trial shows nothing")
    if any(figures["exits"]):
        found.append(f"schedulers ended with {figures['exits']}")
    if judge_seconds and figures["longest_stalled_transaction_s"] > OPEN_BAR:
        found.append(f"a stalled transaction was open for {figures['longest_stalled_transaction_s']} s")
    return found


def on_sqlite(total: int, limit: float) -> tuple[Trial, dict[str, Any]]:
    """Run the trial on SQLite."""
    with tempfile.TemporaryDirectory() as name:
        trial = Trial(Path(name), f"sqlite:///{name}/stalls.db", total, limit)
        return trial, run_trial(trial)


def on_postgres(total: int, limit: float) -> tuple[Trial, dict[str, Any]]:
    """Run the trial on a PostgreSQL server of its own.

    Raises:
        NoPostgres: there is no PostgreSQL on this machine.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        running_server(find_binaries(), Options()) as server,
        server.databases.lent() as url,
    ):
        trial = Trial(Path(name), url, total, limit)
        return trial, run_trial(trial)


def main() -> int:
    """Run the trials, print their figures and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--limit", type=float, default=1500.0, help="seconds for each database")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started ends with it
    total = 40 if options.quick else options.runs
    document: dict[str, Any] = {}
    missed: list[str] = []
    trials = {"postgresql": on_postgres, "sqlite": on_sqlite}
    for name in options.database or trials:
        try:
            trial, document[name] = trials[name](total, options.limit)
        except NoPostgres as error:
            document[name] = {"skipped": str(error)}
            continue
        missed += [f"{name}: {each}" for each in misses(document[name], trial, judge_seconds=not options.quick)]
    sys.stdout.write(json.dumps(document | {"missed": missed}, indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
