"""Seconds of one forecast edition of 51 symbols, from a warm worker, through the whole service.

A replay database is filled from recorded prices, the group's networks are trained, and market time is then
moved from evening to evening. Each run is timed by its own row, as the service stores it. Afterwards a year
of scored editions is added to the database, and one more evening shows the cost of a session then. Run from the
repository's root:

    python -m benchmarks.speed.edition [FOLDER]

It prints one JSON document, then `name value unit bar` lines, and exits with 1 if the edition took more
than its goal.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, func, select, update

from benchmarks.accuracy.pooled import PRICES
from benchmarks.panel import recorded_symbols
from service.bootstrap import open_service
from service.db.tables import editions, forecasts, market_clock, runs, served_forecasts
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.ledger import publish
from service.forecasts.publication import NewForecast, Publication, ServedForecast
from service.runtime.context import ServiceContext
from service.scheduler.loop import Scheduler
from service.scheduler.plan import plan_trainings
from service.settings import Settings

GOAL_SECONDS = 0.5
YEAR_GOAL_SECONDS = 300.0
YEAR = 252
START = "2018-12-13T23:00:00Z"
FIRST = tuple(datetime(2018, 12, day, 23, tzinfo=UTC) for day in (14, 17, 18))
"""Evenings at which the bars of the day are final."""
CATCH_UP, ORDINARY = (datetime(2018, 12, day, 23, tzinfo=UTC) for day in (19, 20))
"""The evening that scores the added year, and the ordinary one after it."""

LINE = ("pull", "score", "forecast")


def measure(folder: Path, directory: Path) -> dict[str, Any]:
    """Fill, train, forecast; then the same on top of a year.

    Args:
        folder: Recorded prices with a `us_stocks` folder.
        directory: Folder of the database and the artifacts.

    Returns:
        JSON-serializable: seconds of every forecast run before the year, oldest first, and those of the last as
        `seconds`; seconds of the ordinary evening after a year by job as `after_a_year`.
    """
    symbols = recorded_symbols(folder / "us_stocks")
    settings = Settings(source=f"files:{folder}", clock=f"replay:{START}:0", data_dir=directory, symbols=symbols)
    with open_service(settings) as context:
        Scheduler(context, LINE).drain()
        with context.database.transaction() as connection:
            plan_trainings(context, connection, context.market.now(connection))
        Scheduler(context, ("train",)).drain()
        _pass(context, FIRST)
        each = _seconds(context, "forecast")
        lay_year(context)
        _pass(context, (CATCH_UP, ORDINARY))
        after = {job: _seconds(context, job)[-1] for job in LINE}
        with context.database.reading() as connection:
            stored = connection.execute(select(func.count()).select_from(forecasts)).scalar_one()
    return {
        "symbols": len(symbols),
        "each": each,
        "seconds": each[-1],
        "forecasts_after_a_year": stored,
        "after_a_year": after,
        "year_seconds": round(YEAR * sum(after.values()), 1),
    }


def lay_year(context: ServiceContext) -> None:
    """Copy the newest edition to each of the 252 sessions before the first one, to be scored again."""
    with context.database.reading() as connection:
        newest = connection.execute(select(editions).order_by(editions.c.number.desc()).limit(1)).one()
        rows = connection.execute(select(forecasts).where(forecasts.c.edition == newest.number)).all()
        served = connection.execute(select(served_forecasts).where(served_forecasts.c.edition == newest.number)).all()
        oldest = connection.execute(select(func.min(editions.c.as_of))).scalar_one()
    items = tuple(ServedForecast(row.symbol, row.strategy, row.model_version_id, row.reason) for row in served)
    calendar = context.calendars.get(newest.calendar)
    days = [calendar.previous(oldest, back) for back in range(YEAR, 0, -1)]
    for day in days:
        targets = context.calendars.targets(newest.calendar, day, 3)
        drafts = tuple(_dated(row, day, targets) for row in rows)
        draft = Publication(context.mode, newest.calendar, day, None, drafts, items)
        with context.database.transaction() as connection:
            publish(connection, draft, newest.issued_at, newest.recorded_at)
    with context.database.transaction() as connection:  # no score run is done: the next one looks at everything
        connection.execute(update(runs).where(runs.c.job == "score").values(state="superseded"))


def _dated(row: Row[Any], as_of: date, targets: Sequence[date]) -> NewForecast:
    quantiles = tuple(getattr(row, name) for name in QUANTILE_NAMES)
    drafted = NewForecast(
        row.symbol, row.as_of, row.step, row.target_session, row.strategy, row.model_version_id, row.revision,
        row.basis, row.last_close, row.sigma, quantiles, quantiles,
    )  # fmt: skip
    return replace(drafted, as_of=as_of, target_session=targets[row.step - 1])


def main() -> int:
    """Measure, print, and compare with the goal."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PRICES
    with tempfile.TemporaryDirectory() as directory:
        measured = measure(folder, Path(directory))
    print(json.dumps(measured, indent=1))
    print(f"edition_51 {measured['seconds']:.3f} s {GOAL_SECONDS}")
    for job, seconds in measured["after_a_year"].items():
        print(f"{job}_after_a_year {seconds:.3f} s -")
    print(f"replayed_year {measured['year_seconds']:.0f} s {YEAR_GOAL_SECONDS:.0f}")
    return int(measured["seconds"] > GOAL_SECONDS)


def _pass(context: ServiceContext, evenings: Sequence[datetime]) -> None:
    """Move market time from evening to evening and do the due work."""
    for evening in evenings:
        with context.database.transaction() as connection:
            connection.execute(update(market_clock).values(now=evening))
        Scheduler(context, LINE).drain()


def _seconds(context: ServiceContext, job: str) -> list[float]:
    """Return the seconds of a job's finished runs, oldest session first."""
    query = select(runs.c.started_at, runs.c.finished_at).where(runs.c.job == job, runs.c.state == "done")
    with context.database.reading() as connection:
        rows = connection.execute(query.order_by(runs.c.session)).all()
    return [round((row.finished_at - row.started_at).total_seconds(), 3) for row in rows]


if __name__ == "__main__":
    sys.exit(main())
