"""A replayed year of the whole service under mixed load: memory, file handles, answers and sessions.

`tplus up` replays the bundled sample with its weekly trainings, while clients read every route, hold event streams
open and send requests that are refused. Each second the memory and the open files of the API and of the scheduler are
read. Run from the repository's root:

    python -m benchmarks.reliability.soak [--sessions 252] [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: the median memory of the last third of the samples is
at most 3 % above that of the middle third, the same for open files within 2, no answer is a 5xx, every session is
accounted for. It takes about a quarter of an hour.
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
from datetime import date, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import psutil
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import runs
from service.forecasts.ledger import verify
from service.market.exchange_calendar import get_calendar

START = date(2012, 2, 17)
"""A Friday: the first replayed session is the next one."""
YEAR = 252
SECONDS_A_DAY = 1.5
QUICK_SESSIONS = 10
MEMORY_BAR = 1.03
FILES_BAR = 2.0

_REPOSITORY = Path(__file__).parents[2]
_PATHS = (
    "/", "/healthz", "/readyz", "/openapi.json", "/docs", "/v1/status", "/v1/watchlist", "/v1/watchlist?sort=skill",
    "/v1/forecasts", "/v1/forecasts/AAPL", "/v1/forecasts/IBM?as_of=2012-03-01", "/v1/forecasts/MSFT/history?limit=60",
    "/v1/prices/GOOG?limit=60", "/v1/symbols", "/v1/models", "/v1/runs?limit=60", "/v1/runs/1", "/v1/accuracy",
    "/v1/figures/AAPL", "/v1/figures/AAPL?kind=versus", "/v1/figures/AAPL?kind=skill", "/v1/forecasts/AAPL/history",
    "/v1/forecasts/NOTHING", "/v1/runs/999999", "/v1/forecasts/AAPL?as_of=never", "/nowhere",
)  # fmt: skip
"""Reads of every resource, and four requests that are refused."""
_CLIENTS = 2
_PAUSE_SECONDS = 0.1


@dataclass
class Load:
    """What the clients saw.

    Attributes:
        statuses: Answers by status; 0 = no answer.
        bad: Paths answered with a 5xx that is not 503, or with nothing, with the first such text of each.
        lost: Streams that ended before their client ended them.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    bad: dict[str, str] = field(default_factory=dict)
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process: resident bytes and open file descriptors."""

    memory: int
    files: int


def _environment(folder: Path, port: int, sessions: int) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    settings = {
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "CLOCK": f"replay:{START.isoformat()}:{SECONDS_A_DAY if sessions > QUICK_SESSIONS else 0.2}",
        "TRAIN_EVERY": "20",
        "POLL_SECONDS": "0.2",
    }
    if sessions <= QUICK_SESSIONS:  # a group without a network: nothing is trained
        settings["GROUPS"] = ",".join(f"{symbol}=other" for symbol in ("AAPL", "FB", "GOOG", "IBM", "MSFT"))
    return plain | {"PYTHONPATH": str(_REPOSITORY)} | {f"TPLUS_{name}": value for name, value in settings.items()}


@contextmanager
def serving(folder: Path, sessions: int) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run `tplus up` for a block; yields its URL and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from service.cli import main; main()", "up"]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=_environment(folder, port, sessions),
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read_routes(url: str, load: Load, stop: threading.Event, seed: int) -> None:
    order = random.Random(seed)
    with httpx.Client(base_url=url, timeout=30) as client:
        while not stop.wait(_PAUSE_SECONDS):
            path = order.choice(_PATHS)
            try:
                answer = client.get(path)
            except httpx.HTTPError as error:
                load.statuses[0] += 1
                load.bad.setdefault(path, repr(error))
                continue
            load.statuses[answer.status_code] += 1
            if answer.status_code >= 500:
                load.bad.setdefault(path, answer.text[:500])


def _hold_stream(url: str, load: Load, stop: threading.Event) -> None:
    """Read the event stream; leave it and come back every few seconds, as pages do."""
    with httpx.Client(base_url=url, timeout=httpx.Timeout(30, read=60)) as client:
        while not stop.is_set():
            try:
                with client.stream("GET", "/v1/events") as stream:
                    left = monotonic() + 10
                    for _line in stream.iter_lines():
                        if stop.is_set() or monotonic() > left:
                            break
            except httpx.HTTPError:
                load.lost += not stop.is_set()
                stop.wait(1)


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + 120
    while monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/v1/forecasts/AAPL", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        threading.Event().wait(0.2)
    raise RuntimeError("the service did not become ready")


def _processes(root: psutil.Process) -> dict[str, psutil.Process]:
    """Return the scheduler, which is the started process, and the API, its child."""
    for child in root.children(recursive=True):
        if "service.app" in child.cmdline():
            return {"scheduler": root, "api": child}
    return {"scheduler": root}


def _sample(found: dict[str, psutil.Process], samples: dict[str, list[Sample]]) -> None:
    for name, process in found.items():
        samples.setdefault(name, []).append(Sample(process.memory_info().rss, process.num_fds()))


def _sessions_done(database: Database) -> dict[date, str]:
    with database.reading() as connection:
        query = select(runs.c.session, runs.c.state).where(runs.c.job == "forecast", runs.c.sequence == 0)
        return {session: state for session, state in connection.execute(query)}


def growth(samples: list[Sample]) -> tuple[float, float]:
    """Return last third against middle third: the ratio of median memory, and the difference of median open files."""
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    memory = [statistics.median(sample.memory for sample in part) for part in (middle, last)]
    files = [statistics.median(sample.files for sample in part) for part in (middle, last)]
    return memory[1] / memory[0], files[1] - files[0]


def soak(folder: Path, sessions: int) -> dict[str, Any]:
    """Replay some sessions under load; returns the figures.

    Args:
        folder: Empty folder for database and log.
        sessions: Sessions of New York that are replayed, at most those of the sample after `START`.
    """
    calendar = get_calendar("XNYS", START)
    expected = calendar.sessions(START, START + timedelta(days=2 * sessions + 10))[:sessions]
    load, stop = Load(), threading.Event()
    samples: dict[str, list[Sample]] = {}
    begun = monotonic()
    with serving(folder, sessions) as (url, process):
        _wait_until_ready(url, process)
        database = Database(f"sqlite:///{folder / 'tplus-sample-replay.db'}")
        threads = [
            *(threading.Thread(target=_read_routes, args=(url, load, stop, seed)) for seed in range(_CLIENTS)),
            threading.Thread(target=_hold_stream, args=(url, load, stop)),
        ]
        for thread in threads:
            thread.start()
        try:
            found = _processes(psutil.Process(process.pid))
            states: dict[date, str] = {}
            while process.poll() is None and monotonic() - begun < 60 + 12 * sessions:
                _sample(found, samples)
                states = _sessions_done(database)
                if all(states.get(session) == "done" for session in expected):
                    break
                stop.wait(1.0)
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        with database.reading() as connection:
            faults = verify(connection)
        database.close()
    return _figures(load, samples, {session: states.get(session) for session in expected}, faults) | {
        "seconds": round(monotonic() - begun, 1)
    }


def _figures(
    load: Load, samples: dict[str, list[Sample]], states: dict[date, str | None], faults: list[str]
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "sessions": len(states),
        "sessions_forecast": sum(state == "done" for state in states.values()),
        "answers": sum(load.statuses.values()),
        "answers_5xx": sum(count for status, count in load.statuses.items() if status >= 500),
        "no_answer": load.statuses[0],
        "bad": load.bad,
        "streams_lost": load.lost,
        "ledger_faults": faults,
    }
    for name, seen in samples.items():
        memory, files = growth(seen)
        figures[f"{name}_memory_ratio"] = round(memory, 4)
        figures[f"{name}_memory_mb"] = round(statistics.median(s.memory for s in seen[len(seen) // 3 :]) / 1e6, 1)
        figures[f"{name}_files_grown"] = files
    return figures


def misses(figures: dict[str, Any], *, judge_memory: bool) -> list[str]:
    """Return one sentence per missed bar.

    Args:
        figures: Those of `soak`.
        judge_memory: Whether the samples are enough for the bars of memory and files.
    """
    found = []
    if figures["sessions_forecast"] != figures["sessions"]:
        found.append(f"{figures['sessions'] - figures['sessions_forecast']} sessions are not forecast")
    if figures["answers_5xx"] or figures["no_answer"] or figures["streams_lost"]:
        found.append(f"bad answers: {figures['bad']}, streams lost: {figures['streams_lost']}")
    found += figures["ledger_faults"]
    for name in ("api", "scheduler") if judge_memory else ():
        if figures[f"{name}_memory_ratio"] > MEMORY_BAR:
            found.append(f"memory of the {name} grew by the factor {figures[f'{name}_memory_ratio']}")
        if abs(figures[f"{name}_files_grown"]) > FILES_BAR:
            found.append(f"open files of the {name} changed by {figures[f'{name}_files_grown']}")
    return found


def main() -> int:
    """Replay, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=YEAR)
    parser.add_argument("--quick", action="store_true", help="ten sessions without a network; memory is not compared")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(Path(folder), QUICK_SESSIONS if arguments.quick else arguments.sessions)
    figures["misses"] = misses(figures, judge_memory=not arguments.quick)
    print(json.dumps(figures, indent=2))
    return int(bool(figures["misses"]))


if __name__ == "__main__":
    sys.exit(main())
