"""Backups while the whole service writes, restored and compared, on SQLite and PostgreSQL.

A scheduler replays the bundled sample as fast as possible. Meanwhile backups are made one after the other; then each is
restored into an empty database. Run from the repository's root:

    python -m benchmarks.reliability.backup [--backups 10] [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: every restored table has the row hash of its backup,
both hash chains verify and contain every earlier head, and editions were published while the backups were made.
PostgreSQL is that of `TPLUS_TEST_POSTGRES`, else one that is started from the system's programs; without any the
document says so. It takes about a minute.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

from sqlalchemy import func, select

from service.backup.backup import BackupSource, back_up
from service.backup.manifest import Manifest
from service.backup.restore import Destination, restore
from service.clock import process_now
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import editions
from service.hash_chains.verify import KnownHeads, verify_database
from service.settings import Settings, load_settings
from tests.support.postgres import NoPostgres, Options, PostgresServer, find_binaries, running_server

_REPOSITORY = Path(__file__).parents[2]
_READY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Size of a trial.

    Attributes:
        backups: How many are made.
        start: Date at which the replay begins; the sample is of March 2000 to March 2013.
        symbols: The watchlist.
    """

    backups: int
    start: str = "2012-03-01"
    symbols: tuple[str, ...] = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


QUICK = Plan(1, "2000-09-01", ("AAPL",))


def environment(folder: Path, url: str, plan: Plan) -> dict[str, str]:
    """Return the environment of a service that replays the sample without trainings."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    settings = {
        "DATA_DIR": str(folder), "DATABASE_URL": url, "CLOCK": f"replay:{plan.start}:0", "REFERENCE_SYMBOLS": "",
        "SYMBOLS": ",".join(plan.symbols),
        "GROUPS": ",".join(f"{symbol}=other" for symbol in plan.symbols), "POLL_SECONDS": "0.05",
    }  # fmt: skip
    return plain | {"PYTHONPATH": str(_REPOSITORY)} | {f"TPLUS_{name}": value for name, value in settings.items()}


@contextmanager
def replaying(folder: Path, variables: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a scheduler for a block."""
    command = [sys.executable, "-c", "from service.cli import main; main()", "schedule"]
    with (folder / "schedule.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=dict(variables), stdout=log, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        yield process
    except RuntimeError as error:
        raise RuntimeError(f"{error}: {(folder / 'schedule.log').read_text(errors='replace')[-2000:]}") from error
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def trial(folder: Path, url: str, targets: Iterator[str], plan: Plan) -> dict[str, Any]:
    """Back up a writing service several times, and restore each backup; returns the figures.

    Args:
        folder: Empty folder for models, logs and archives.
        url: An empty database.
        targets: URLs of empty databases of the same kind, one for each backup.
        plan: Its size.
    """
    variables = environment(folder, url, plan)
    settings = load_settings({name: value for name, value in variables.items() if name.startswith("TPLUS_")})
    database = Database(url)
    upgrade(database)
    made: list[tuple[Path, Manifest]] = []
    taken: list[float] = []
    with replaying(folder, variables) as process:
        _wait_for_editions(database, 3, process)
        first = _editions(database)
        for number in range(plan.backups):
            begun = monotonic()
            origin = BackupSource(database, settings.artifact_dir, "trial")
            made.append(back_up(origin, folder / f"backup-{number}.tar", process_now()))
            taken.append(monotonic() - begun)
            _wait_for_editions(database, made[-1][1].editions.number + 1, process)
        published = _editions(database) - first
    restored = [
        _restored(path, manifest, settings, next(targets), folder / f"restored-{number}")
        for number, (path, manifest) in enumerate(made)
    ]
    known = KnownHeads()
    contradictions = [sentence for _, manifest in made for sentence in known.add(manifest.heads)]
    with database.reading() as connection:
        report = verify_database(connection, known)
    database.close()
    return {
        "backups": plan.backups,
        "editions_published_meanwhile": published,
        "rows": sum(entry.rows for entry in made[-1][1].tables.values()),
        "artifact_files": len(made[-1][1].artifacts),
        "archive_bytes": made[-1][0].stat().st_size,
        "backup_seconds_median": round(statistics.median(taken), 3),
        "backup_seconds_max": round(max(taken), 3),
        "restore_seconds_median": round(statistics.median(seconds for seconds, _ in restored), 3),
        "faults": [*contradictions, *report.sentences(), *(fault for _, faults in restored for fault in faults)],
    }


def misses(figures: Mapping[str, Any]) -> list[str]:
    """Return the bars that are missed."""
    found = list(figures["faults"])
    if figures["editions_published_meanwhile"] < figures["backups"]:
        found.append("the service published fewer editions than backups were made: the trial shows nothing")
    return found


def _restored(path: Path, manifest: Manifest, settings: Settings, url: str, folder: Path) -> tuple[float, list[str]]:
    """Restore one backup, which compares its row hashes, and verify its chains; returns seconds and faults."""
    database = Database(url)
    begun = monotonic()
    try:
        restore(path, Destination(database, folder, settings.source_name, settings.market_clock.mode))
        seconds = monotonic() - begun
        known = KnownHeads()
        known.add(manifest.heads)
        with database.reading() as connection:
            return seconds, verify_database(connection, known).sentences()
    finally:
        database.close()


def _editions(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(editions)).scalar_one()


def _wait_for_editions(database: Database, count: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = monotonic() + _READY_SECONDS
    while _editions(database) < count:
        if process.poll() is not None or monotonic() > deadline:
            raise RuntimeError(f"the service did not publish {count} editions")
        Event().wait(0.05)


def on_sqlite(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run the trial on SQLite."""
    files = (f"sqlite:///{folder / f'restored-{number}.db'}" for number in range(plan.backups))
    return trial(folder, f"sqlite:///{folder / 'trial.db'}", files, plan)


def on_postgres(folder: Path, server_url: str, plan: Plan) -> dict[str, Any]:
    """Run the trial on a server whose user may create databases."""
    server = PostgresServer(server_url)
    names = [server.create() for _ in range(plan.backups + 1)]
    try:
        return trial(folder, server.url(names[0]), (server.url(name) for name in names[1:]), plan)
    finally:
        for name in names:
            server.drop(name)


def run(plan: Plan) -> dict[str, Any]:
    """Run both trials; without PostgreSQL its part says why."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        figures["sqlite"] = on_sqlite(Path(folder), plan)
    with tempfile.TemporaryDirectory() as folder:
        given = os.environ.get("TPLUS_TEST_POSTGRES")
        if given:
            figures["postgresql"] = on_postgres(Path(folder), given, plan)
            return figures
        try:
            with running_server(find_binaries(), Options()) as running:
                figures["postgresql"] = on_postgres(Path(folder), running.databases.url("postgres"), plan)
        except NoPostgres as error:
            figures["postgresql_not_run"] = str(error)
    return figures


def main() -> int:
    """Print the figures; returns the exit status."""
    parser = argparse.ArgumentParser(description="Backups under load.")
    parser.add_argument("--backups", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="one backup of a small database")
    given = parser.parse_args()
    figures = run(QUICK if given.quick else Plan(given.backups))
    missed = [
        f"{kind}: {each}" for kind in ("sqlite", "postgresql") if kind in figures for each in misses(figures[kind])
    ]
    print(json.dumps({**figures, "missed": missed}, indent=1))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
