"""Seconds and memory from a filled database to training arrays: 254 US stocks, 1.1 million bars.

For SQLite and for PostgreSQL a database is filled from recorded prices, and a new process reads it: `load_panel`,
a pipeline fitted on it, and every training window of the multi-step strategy. The time starts after the import of
its modules; its memory includes them. Run from the repository's root:

    python -m benchmarks.speed.arrays [--prices FOLDER]

It prints `name value unit bar` lines and exits with 1 if a bar is missed. PostgreSQL is a separate server, started
from the binaries found; without binaries its lines are missing.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
from sqlalchemy import select

from benchmarks.accuracy.pooled import PRICES
from benchmarks.panel import recorded_symbols
from models.config import ModelConfig, Strategy
from models.preprocessing.pipeline import Pipeline
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import instruments
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols, list_instruments
from service.prices.panel import PanelQuery, load_panel
from service.prices.pull.fetcher import PullContext, pull_symbols
from service.prices.sources.files import FilesSource
from service.settings import Settings
from tests.support.postgres import NoPostgres, Options, find_binaries, running_server

BAR_SECONDS = 3.0
BAR_MEGABYTES = 800.0
FOLDERS = ("us_stocks", "us_more")
READS = 3
"""Number of processes, one after another; the best time and the highest memory count."""

_SESSION = date(2018, 12, 31)
_AT = datetime(2018, 12, 31, 23, tzinfo=UTC)
_CUT_AT = np.datetime64("2018-12-31T23:00:00", "s")


@dataclass(frozen=True, slots=True)
class Read:
    """Figures of one process.

    Attributes:
        seconds: From opening the database to the windows.
        cpu: Seconds of those that this process computed: what another's load adds to `seconds` is not in them.
        megabytes: Its highest resident memory, modules included.
        bars: Rows of the panel with a close.
        windows: Training windows cut.
    """

    seconds: float
    cpu: float
    megabytes: float
    bars: int
    windows: int


def fill(url: str, prices: Path, directory: Path) -> None:
    """Create a database and pull the stocks of both folders into it.

    Args:
        url: URL of a database that is empty or absent.
        prices: Folder of recorded prices.
        directory: The data folder of the settings; nothing is stored there.

    Raises:
        SystemExit: A symbol was not pulled.
    """
    database = Database(url)
    upgrade(database)
    settings = Settings(source=f"files:{prices}", data_dir=directory)
    with database.transaction() as connection:
        add_symbols(connection, [name for folder in FOLDERS for name in recorded_symbols(prices / folder)], _AT, {})
        known = list_instruments(connection)
    context = PullContext(database, FilesSource(prices), settings, get_calendar)
    failed = [one for one in pull_symbols(context, known, _SESSION, _AT) if one.state not in ("ok", "suspect")]
    database.close()
    if failed:
        raise SystemExit(f"the pull did not work: {failed[0]}")


def read(url: str) -> Read:
    """Read a database into training arrays, in this process.

    Args:
        url: URL of a database that was filled.
    """
    begun, computed = perf_counter(), process_time()
    database = Database(url)
    with database.reading() as connection:
        symbols = tuple(connection.execute(select(instruments.c.symbol).order_by(instruments.c.symbol)).scalars())
        panel = load_panel(connection, PanelQuery(symbols, (), _AT, Settings().settle))
    database.close()
    config = ModelConfig("lstm", Strategy.MULTI_STEP)
    windows = Pipeline.fit(panel, config, _CUT_AT).windows(panel, require_targets=True)
    seconds, cpu = perf_counter() - begun, process_time() - computed
    bars = sum(int((~np.isnan(frame.close)).sum()) for frame in panel.histories)
    return Read(seconds, cpu, _peak(), bars, len(windows))


def _peak() -> float:
    """Return the peak resident megabytes of this process; Linux counts in KiB, macOS in bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def measure(url: str) -> Read:
    """Run `read` in separate processes; return the best time and the highest memory."""
    command = [sys.executable, "-m", "benchmarks.speed.arrays", "--read", url]
    done = [subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout for _ in range(READS)]
    reads = [Read(**json.loads(text)) for text in done]
    return replace(min(reads, key=lambda one: one.seconds), megabytes=max(one.megabytes for one in reads))


def say(name: str, value: float, unit: str, bar: float) -> bool:
    """Print one figure and return whether it meets its bar (an upper bound, inclusive)."""
    print(f"{name} {value:.3g} {unit} {bar:g}{'' if value <= bar else ' MISSED'}", flush=True)
    return value <= bar


def measure_database(kind: str, url: str, prices: Path, directory: Path) -> bool:
    """Fill one database, measure and print; return whether its bars are met."""
    fill(url, prices, directory)
    done = measure(url)
    print(f"{kind}_bars {done.bars} rows -")
    print(f"{kind}_windows {done.windows} windows -")
    print(f"{kind}_cpu {done.cpu:.3g} s -")
    kept = say(f"{kind}_to_arrays", done.seconds, "s", BAR_SECONDS)
    return say(f"{kind}_peak_memory", done.megabytes, "MB", BAR_MEGABYTES) and kept


def main(arguments: Sequence[str]) -> int:
    """Measure both databases, print, and compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--read", metavar="URL", help="read a database that is filled, in this process alone")
    chosen = parser.parse_args(arguments)
    if chosen.read:
        print(json.dumps(asdict(read(chosen.read))))
        return 0
    with tempfile.TemporaryDirectory() as directory:
        kept = measure_database("sqlite", f"sqlite:///{directory}/arrays.db", chosen.prices, Path(directory))
    try:
        with running_server(find_binaries(), Options(command=())) as server, tempfile.TemporaryDirectory() as directory:
            url = server.databases.url(server.databases.create())
            return int(not (measure_database("postgresql", url, chosen.prices, Path(directory)) and kept))
    except NoPostgres as error:
        print(f"PostgreSQL was not measured: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
