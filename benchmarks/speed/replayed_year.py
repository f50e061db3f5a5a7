"""Seconds of a replayed year of 51 symbols through the whole service, from an empty ledger.

A new SQLite database replays recorded prices at speed 0 from the evening before the year, through the same loop as
`tplus up`: the whole history is pulled first, then every session is planned, pulled, scored (accuracy included)
and forecast, and market time moves from event to event. The stocks are in the group `other`, which has no
network: the random walk serves, and the weekly training refits only it. Run from the repository's root:

    python -m benchmarks.speed.replayed_year [--prices FOLDER] [--sessions 252]

It prints `name value unit bar` lines and exits with 1 if the year took more than its goal or is incomplete.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter

from sqlalchemy import func, select

from benchmarks.accuracy.pooled import PRICES
from benchmarks.panel import recorded_symbols
from service.bootstrap import open_service
from service.db.tables import forecasts, runs, scores, track_records
from service.market.instruments import STATISTICAL_GROUPS
from service.runs import JOBS
from service.runtime.context import ServiceContext
from service.runtime.progress import EditionSummary, SilentReporter
from service.scheduler.loop import Scheduler
from service.settings import Settings

GOAL_SECONDS = 300.0
YEAR = 252
START = "2017-12-29T23:00:00Z"
"""Evening of the last session of 2017, the first of the 252; the record ends a year later."""


@dataclass(frozen=True, slots=True)
class Year:
    """Figures of the replayed year, in real seconds.

    Attributes:
        seconds: From the start of the loop to the end of the last forecast run, the first pull included.
        editions: Sessions forecast.
        jobs: Seconds between start and end of the runs, by job.
        failed: Runs that failed.
        rows: Rows stored, by table.
    """

    seconds: float
    editions: int
    jobs: dict[str, float]
    failed: int
    rows: dict[str, int]


class Counter(SilentReporter):
    """Counts editions and stops the loop after the last one, or at the end of the record.

    Attributes:
        editions: Published so far.
        stop: Ends the loop.
    """

    def __init__(self, sessions: int) -> None:
        self._sessions = sessions
        self.editions = 0
        self.stop: Callable[[], None] = lambda: None

    def edition(self, summary: EditionSummary) -> None:
        """Count an edition."""
        del summary
        self.editions += 1
        if self.editions >= self._sessions:
            self.stop()

    def market_time(self, now: datetime, sentence: str) -> None:
        """Stop at the end of the record."""
        del now, sentence
        self.stop()


def replay(settings: Settings, sessions: int) -> Year:
    """Replay until a number of sessions is forecast, or the record ends.

    Args:
        settings: A files source replayed at speed 0, with a new database.
        sessions: Number of sessions.
    """
    counter = Counter(sessions)
    with open_service(settings, counter) as context:
        scheduler = Scheduler(context)
        counter.stop = scheduler.stop
        begun = perf_counter()
        scheduler.run()
        return _figures(context, perf_counter() - begun, counter.editions)


def _figures(context: ServiceContext, seconds: float, editions: int) -> Year:
    jobs, failed = dict.fromkeys(JOBS, 0.0), 0
    with context.database.reading() as connection:
        for row in connection.execute(select(runs)):
            failed += row.state == "failed"
            if row.started_at is not None and row.finished_at is not None:
                jobs[row.job] += (row.finished_at - row.started_at).total_seconds()
        rows = {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in (forecasts, scores, track_records)
        }
    return Year(seconds, editions, jobs, failed, rows)


def settings_of(prices: Path, directory: Path) -> Settings:
    """Return the settings of the year.

    Args:
        prices: Folder of recorded prices with a `us_stocks` folder.
        directory: Folder of the database.
    """
    symbols = recorded_symbols(prices / "us_stocks")
    groups = tuple(f"{symbol}={STATISTICAL_GROUPS[0]}" for symbol in symbols)
    return Settings(
        source=f"files:{prices}", clock=f"replay:{START}:0", data_dir=directory, symbols=symbols, groups=groups
    )


def main() -> int:
    """Measure, print, and compare with the goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prices", type=Path, default=PRICES)
    parser.add_argument("--sessions", type=int, default=YEAR, help="fewer for a quick look")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        year = replay(settings_of(arguments.prices, Path(directory)), arguments.sessions)
    print(f"replayed_year {year.seconds:.1f} s {GOAL_SECONDS:.0f}")
    print(f"sessions_forecast {year.editions} - {arguments.sessions}")
    print(f"runs_failed {year.failed} - 0")
    for job, seconds in year.jobs.items():
        print(f"{job}_runs {seconds:.1f} s -")
    for name, count in year.rows.items():
        print(f"{name}_stored {count} rows -")
    return int(year.seconds > GOAL_SECONDS or year.editions < arguments.sessions or year.failed > 0)


if __name__ == "__main__":
    sys.exit(main())
