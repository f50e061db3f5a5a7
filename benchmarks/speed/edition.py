"""Seconds of one forecast edition of 51 symbols, from a warm worker, through the whole service.

A replay database is filled from recorded prices, the group's networks are trained, and market time is
then moved over four sessions; each forecast run is timed by its own row. Run from the repository's root:

    python -m benchmarks.speed.edition [FOLDER]

It prints one JSON document and exits with 1 where an edition of the warm worker took more than its goal.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from benchmarks.accuracy.pooled import PRICES
from benchmarks.panel import recorded_symbols
from service.bootstrap import open_service
from service.context import ServiceContext
from service.db.tables import editions, market_clock, runs
from service.scheduler.loop import Scheduler
from service.scheduler.requests import plan_trainings
from service.settings import Settings

GOAL_SECONDS = 0.5
START = "2018-12-17T23:00:00Z"
LATER = tuple(datetime(2018, 12, day, 23, tzinfo=UTC) for day in (18, 19, 20))
"""Evenings on which the bars of the day are final."""

LINE = ("pull", "score", "forecast")


def measure(folder: Path, directory: Path) -> dict[str, Any]:
    """Fill, train, forecast.

    Args:
        folder: Recorded prices with a `us_stocks` folder.
        directory: Where the database and the artifacts go.

    Returns:
        JSON-able: seconds of every forecast run, oldest first (the first starts the worker), and the longest of
        the others as `seconds`.
    """
    symbols = recorded_symbols(folder / "us_stocks")
    settings = Settings(source=f"files:{folder}", clock=f"replay:{START}:0", data_dir=directory, symbols=symbols)
    with open_service(settings) as context:
        Scheduler(context, LINE).drain()
        with context.database.transaction() as connection:
            plan_trainings(context, connection, context.market.now(connection))
        Scheduler(context, ("train",)).drain()
        for evening in LATER:
            _move(context, evening)
            Scheduler(context, LINE).drain()
        seconds = _seconds(context)
        with context.database.reading() as connection:
            published = len(connection.execute(select(editions.c.number)).all())
    return {"symbols": len(symbols), "editions": published, "each": seconds, "seconds": max(seconds[1:])}


def main() -> int:
    """Measure, print, and compare with the goal."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PRICES
    with tempfile.TemporaryDirectory() as directory:
        measured = measure(folder, Path(directory))
    print(json.dumps(measured, indent=1))
    return int(measured["seconds"] > GOAL_SECONDS)


def _move(context: ServiceContext, now: datetime) -> None:
    with context.database.transaction() as connection:
        connection.execute(update(market_clock).values(now=now))


def _seconds(context: ServiceContext) -> list[float]:
    query = select(runs.c.started_at, runs.c.finished_at).where(runs.c.job == "forecast", runs.c.state == "done")
    with context.database.reading() as connection:
        rows = connection.execute(query.order_by(runs.c.session)).all()
    return [round((row.finished_at - row.started_at).total_seconds(), 3) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
