"""Reading and writing bars, against the fastest way that each database has.

500 symbols x 5,000 sessions of made prices. For SQLite and PostgreSQL, in turns: a pull whose answers are ready in
memory (checks, comparison, one transaction per symbol) against one bulk load of the same rows into the same table; and
a panel for training against a bare ADBC read of the same rows. Run from the repository's root:

    python -m benchmarks.speed.database [--quick] [--symbols N]

PostgreSQL is a separate server with durable writes, started from the binaries found; without them it is left out, and
the exit status is 1. Each read runs in a process of its own, whose memory includes its modules and its children.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from benchmarks.results import RESULTS, Ratio, publish
from benchmarks.speed.database_loads import AT, Loads, MadePrices, ready_source
from tests.support.postgres import NoPostgres, Options, find_binaries, running_server

RUNS = 5
SESSIONS = 5_000
MEGABYTES = 700.0
READS = ("bare", "core", "extended")
"""Ways of reading: Arrow alone; panel, inputs and windows of the core inputs; the same of the extended inputs."""


Figures = dict[str, float | str]


@dataclass(frozen=True, slots=True)
class Read:
    """What one process measured: seconds of the read, CPU seconds of inputs and windows, megabytes, rows."""

    seconds: float
    windows_cpu: float
    megabytes: float
    rows: int


def read_bare(url: str) -> Read:
    """Read every bar by ADBC into Arrow, in the order of the primary key."""
    from benchmarks.speed.database_loads import connect_adbc

    options = {"adbc.sqlite.query.batch_rows": 16_384} if url.startswith("sqlite") else {}
    begun = perf_counter()
    with connect_adbc(url) as connection, connection.cursor(adbc_stmt_kwargs=options) as cursor:
        cursor.execute("SELECT symbol, session, open, high, low, close, volume FROM bars ORDER BY symbol, session")
        rows = cursor.fetch_arrow_table().num_rows
    return Read(perf_counter() - begun, 0.0, _peak(), rows)


def read_windows(url: str, inputs: str) -> Read:
    """Read a panel of every symbol as a training does, then fit its pipeline and cut every training window."""
    import numpy as np
    from sqlalchemy import select

    from models.config import Inputs, ModelConfig, Strategy
    from models.preprocessing.pipeline import Pipeline
    from service.db.session import Database
    from service.db.tables import instruments
    from service.prices.panel import PanelQuery, load_panel
    from service.settings import Settings

    begun = perf_counter()
    database = Database(url)
    with database.reading() as connection:
        symbols = tuple(connection.execute(select(instruments.c.symbol).order_by(instruments.c.symbol)).scalars())
        panel = load_panel(connection, PanelQuery(symbols, (), AT, Settings().settle))
    seconds, computed, at_reading = perf_counter() - begun, process_time(), _peak()
    database.close()
    config = ModelConfig("lstm", Strategy.MULTI_STEP, inputs=Inputs(inputs))
    cut_at = np.datetime64(AT.replace(tzinfo=None), "s")
    Pipeline.fit_windows(panel, config, cut_at, require_targets=True)
    # The process that reads SQLite has ended by now.
    peak = max(at_reading, _peak((resource.RUSAGE_SELF,)))
    return Read(seconds, process_time() - computed, peak, sum(len(each) for each in panel.histories))


def _peak(processes: Sequence[int] = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) -> float:
    """Return the peak resident megabytes of this process and its largest child; Linux counts in KiB, macOS in bytes."""
    most = sum(resource.getrusage(who).ru_maxrss for who in processes)
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def in_own_process(url: str, how: str) -> Read:
    """Read in a new process."""
    command = [sys.executable, "-m", "benchmarks.speed.database", "--read", how, url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Read(**json.loads(done.stdout))


def measure_reads(kind: str, url: str, runs: int) -> tuple[list[Ratio], Figures]:
    """Return the ratios of reading one filled database, and its figures."""
    taken: dict[str, list[Read]] = {how: [] for how in READS}
    for _ in range(runs):
        for how in READS:  # in turns: the machine drifts
            taken[how].append(in_own_process(url, how))
    bare, core, extended = (taken[how] for how in READS)
    whole = len({each.rows for how in READS for each in taken[how]}) == 1
    if not whole:
        raise SystemExit(f"{kind}: the ways of reading returned different numbers of rows")
    ratios = [
        Ratio(
            f"panel.{kind}",
            f"{kind}: seconds to a panel / to Arrow alone",
            tuple(own.seconds / other.seconds for own, other in zip(core, bare, strict=True)),
            high=1.5,
        ),
        Ratio(
            f"memory.{kind}",
            f"{kind}: peak memory to the windows of the core inputs / {MEGABYTES:g} MB",
            tuple(each.megabytes / MEGABYTES for each in core),
            high=1.0,
        ),
    ]
    million = core[0].rows / 1e6
    figures: Figures = {
        f"{kind}: CPU seconds of inputs and windows per million bars": median(x.windows_cpu for x in core) / million,
        f"{kind}: the same, extended inputs": median(each.windows_cpu for each in extended) / million,
        f"{kind}: seconds of the bare read": median(each.seconds for each in bare),
        f"{kind}: peak megabytes, core inputs": max(each.megabytes for each in core),
        f"{kind}: peak megabytes, extended inputs": max(each.megabytes for each in extended),
    }  # fmt: skip
    return ratios, figures


def measure_writes(kind: str, loads: Loads, runs: int) -> tuple[list[Ratio], Figures]:
    """Return the ratios of writing to one kind of database, and its figures."""
    ways: Mapping[str, Callable[[], float]] = loads.ways()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, load in ways.items():
            rates[name].append(load())
    bulk = [max(others) for others in zip(*(rates[name] for name in ways if name != "pull"), strict=True)]
    ratio = Ratio(
        f"ingest.{kind}",
        f"{kind}: bars/s of a pull / of the fastest bulk load of the same rows",
        tuple(own / best for own, best in zip(rates["pull"], bulk, strict=True)),
        low=0.5,
    )
    return [ratio], {f"{kind}: bars/s, {name}": median(found) for name, found in rates.items()}


def measure(kind: str, new_url: Callable[[], str], prices: MadePrices, runs: int) -> tuple[list[Ratio], Figures]:
    """Return the ratios and figures of one kind of database."""
    loads = Loads(new_url, prices)
    ratios, figures = measure_writes(kind, loads, runs)
    read_ratios, read_figures = measure_reads(kind, loads.filled(), runs)
    return ratios + read_ratios, figures | read_figures


def main(arguments: Sequence[str]) -> int:
    """Measure both databases and publish the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="60 symbols, one run each")
    parser.add_argument("--symbols", type=int, default=500)
    parser.add_argument("--read", nargs=2, metavar=("HOW", "URL"), help="read a filled database, in this process alone")
    chosen = parser.parse_args(arguments)
    if chosen.read:
        how, url = chosen.read
        done = read_bare(url) if how == "bare" else read_windows(url, how)
        print(json.dumps({name: getattr(done, name) for name in Read.__slots__}))
        return 0
    runs, count = (1, 60) if chosen.quick else (RUNS, chosen.symbols)
    prices = ready_source(count, SESSIONS, date(2018, 12, 31))
    ratios: list[Ratio] = []
    figures: Figures = {"symbols": float(count), "sessions": float(SESSIONS)}
    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(10_000))
        added, more = measure("sqlite", lambda: f"sqlite:///{Path(folder)}/{next(names)}.db", prices, runs)
        ratios, figures = ratios + added, figures | more
    missing = ""
    try:
        with running_server(find_binaries(), Options(command=())) as server:
            databases = server.databases
            added, more = measure("postgresql", lambda: databases.url(databases.create()), prices, runs)
            ratios, figures = ratios + added, figures | more
    except NoPostgres as error:
        missing = f"PostgreSQL was not measured: {error}"
    status = publish("database", ratios, figures, None if chosen.quick else RESULTS)
    if missing:
        print(missing, file=sys.stderr)
    return 1 if missing else status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
