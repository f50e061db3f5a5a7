"""A scheduler that is off for ten sessions, a change to daylight saving time, half days and holidays.

The real scheduler works on a real database while market time moves by a few hours; then it is off, market time jumps,
and it works again. What it leaves is compared with the exchanges' own calendar. Run from the repository's root:

    python -m benchmarks.reliability.missed_sessions [--database sqlite|postgresql] [--quick]

It prints one JSON document, and exits with 1 if a bar is missed: each session of each exchange has one forecast run,
planned for the close + 90 minutes, with an outcome for its symbol; a forecast was issued between that instant and the
open of T; a session whose T had opened is missed and has no forecast; days without a session have no run.
"""

import argparse
import json
import signal
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import exchange_calendars
from sqlalchemy import select

from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import editions, forecasts, run_outcomes, runs
from service.forecasts.ledger import verify
from service.scheduler.loop import Scheduler
from tests.support.postgres import NoPostgres, Options, find_binaries, running_server
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

SETTLE = timedelta(minutes=90)
RECORD = (date(2023, 3, 1), date(2024, 12, 30))


@dataclass(frozen=True)
class Span:
    """A span of market time.

    Attributes:
        until: Its end; it begins where the one before it ends.
        hours: Hours between two looks of the scheduler; 0 = it is off.
    """

    until: datetime
    hours: int = 1


@dataclass(frozen=True)
class Plan:
    """What a trial replays.

    Attributes:
        calendars: Symbol -> exchange.
        start: Market time at which the database begins.
        spans: The spans, one after the other.
    """

    calendars: dict[str, str]
    start: datetime
    spans: Sequence[Span]


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a UTC instant."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


QUICK = Plan(
    {"AAA": "XNYS"},
    at(2023, 11, 2, 23),
    (Span(at(2023, 11, 8), 6), Span(at(2023, 11, 22), 0), Span(at(2023, 11, 28), 6), Span(at(2023, 12, 12, 15), 0),
     Span(at(2023, 12, 14), 6)),
)  # fmt: skip
"""Winter time in New York, two weeks off, Thanksgiving and the half day after it, ten sessions off."""

FULL = Plan(
    {"AAA": "XNYS", "BBB": "XLON", "CCC": "XTKS"},
    at(2023, 10, 2, 23),
    (Span(at(2024, 3, 4, 12), 3), Span(at(2024, 3, 18, 13, 29), 0), Span(at(2024, 3, 28, 12), 3),
     Span(at(2024, 4, 1, 13, 31), 0), Span(at(2024, 4, 12), 3)),
)  # fmt: skip
"""Half a year: both changes of New York and London, half days, Christmas, Tokyo's holidays of autumn and
spring. Ten sessions of New York off over its change, on again a minute before T opens; Easter off, on a minute late."""


def replay(service: Service, plan: Plan) -> None:
    """Move market time through the spans; the scheduler works where it is on."""
    now = plan.start
    for span in plan.spans:
        if not span.hours:
            now = span.until
            service.move_market(now)
            continue
        scheduler = Scheduler(service.context)
        try:
            while now < span.until:
                service.move_market(now)
                service.context.calendars.widen(now)
                service.work(scheduler)
                now += timedelta(hours=span.hours)
        finally:
            scheduler.close()
    service.move_market(now)


@dataclass(frozen=True)
class ExchangeDay:
    """A session as the exchange's own calendar has it.

    Attributes:
        close: Its close.
        next_open: Open of the session after it, T.
        is_half: Whether it closes early.
        changes_clock: Whether the exchange's offset from UTC differs from that of the session before.
    """

    close: datetime
    next_open: datetime
    is_half: bool
    changes_clock: bool


def exchange_days(name: str) -> dict[date, ExchangeDay]:
    """Return the sessions of an exchange, read from the library without the service's code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses functions that pandas will change
        calendar = exchange_calendars.get_calendar(name, start="2023-01-03", end="2025-02-28")
        early = {each.date() for each in calendar.early_closes}
        closes = {each.date(): _instant(calendar.session_close(each)) for each in calendar.sessions}
        opens = [_instant(calendar.session_open(each)) for each in calendar.sessions]
    days, zone = list(closes), calendar.tz
    offsets = [datetime.combine(day, time(12), zone).utcoffset() for day in days]
    return {
        day: ExchangeDay(closes[day], opens[n + 1], day in early, n > 0 and offsets[n] != offsets[n - 1])
        for n, day in enumerate(days[:-1])
    }


def _instant(value: Any) -> datetime:
    found: datetime = value.to_pydatetime()
    return found


def assess(service: Service, plan: Plan) -> dict[str, Any]:
    """Compare runs, outcomes and editions with the exchanges' own calendar."""
    with service.database.reading() as connection:
        query = select(runs).where(runs.c.job == "forecast").order_by(runs.c.scheduled_for)
        found = {(row.scope, row.session): row for row in connection.execute(query)}
        total = len(connection.execute(query).all())
        columns = (runs.c.scope, runs.c.session, run_outcomes.c.state, run_outcomes.c.reason)
        join = select(*columns).join(runs, runs.c.id == run_outcomes.c.run_id).where(runs.c.job == "forecast")
        outcomes = {(row.scope, row.session): row for row in connection.execute(join)}
        issued = connection.execute(
            select(editions.c.calendar, editions.c.as_of, editions.c.issued_at).order_by(editions.c.number)
        ).all()
        forecast_days = {
            (plan.calendars[symbol], as_of)
            for symbol, as_of in connection.execute(select(forecasts.c.symbol, forecasts.c.as_of).distinct())
        }
        faults = verify(connection)
    end = plan.spans[-1].until
    wrong: list[str] = []
    states: Counter[str] = Counter()
    half_days = holidays = changes = 0
    for name in plan.calendars.values():
        own = min(session for scope, session in found if scope == name)
        days = exchange_days(name)
        for day in (own + timedelta(days=n) for n in range((end.date() - own).days + 1)):
            key, expected = (name, day), days.get(day)
            if expected is None:
                holidays += day.weekday() < 5
                if key in found or key in forecast_days:
                    wrong.append(f"{name} {day} is no session and has a run")
                continue
            due = expected.close + SETTLE
            if due > end - timedelta(hours=plan.spans[-1].hours):
                continue
            run, outcome = found.get(key), outcomes.get(key)
            if run is None or run.state != "done" or run.scheduled_for != due or outcome is None:
                wrong.append(f"{name} {day}: {None if run is None else (run.state, run.scheduled_for)}, {outcome}")
                continue
            states[outcome.state] += 1
            half_days += expected.is_half
            changes += expected.changes_clock
            instants = [row.issued_at for row in issued if (row.calendar, row.as_of) == key]
            on_time = outcome.state == "forecast"
            if on_time != (len(instants) == 1) or on_time != (key in forecast_days):
                wrong.append(f"{name} {day}: {outcome.state} with {len(instants)} editions")
            wrong += _faults(f"{name} {day}", outcome, instants, (due, expected.next_open))
    return {
        "sessions": sum(states.values()),
        "forecast": states["forecast"],
        "missed": states["missed"],
        "wrong": wrong,
        "doubled_runs": total - len(found),
        "editions_in_order": [row.issued_at for row in issued] == sorted(row.issued_at for row in issued),
        "half_days": half_days,
        "weekday_holidays": holidays,
        "clock_changes": changes,
        "ledger_faults": faults,
    }


def _faults(where: str, outcome: Any, issued: list[datetime], on_time: tuple[datetime, datetime]) -> Iterator[str]:
    """Yield what is wrong with the outcome of a session and the instants of its editions."""
    if any(not on_time[0] <= instant < on_time[1] for instant in issued):
        yield f"{where}: issued at {issued}, T opened at {on_time[1]}"
    if outcome.state not in ("forecast", "missed"):
        yield f"{where}: {outcome.state}, {outcome.reason}"


def misses(figures: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = list(figures["wrong"]) + list(figures["ledger_faults"])
    if figures["doubled_runs"]:
        found.append(f"{figures['doubled_runs']} forecast runs too many")
    if not figures["editions_in_order"]:
        found.append("an edition was issued earlier than the one before it")
    for name in ("forecast", "missed", "half_days", "weekday_holidays", "clock_changes"):
        if not figures[name]:
            found.append(f"{name} is 0: the trial shows nothing")
    return found


def prepare(database: Database, folder: Path, plan: Plan) -> Service:
    """Return a service of made-up prices on an empty migrated database."""
    walks = [Walk(symbol, *RECORD, calendar, seed=n) for n, (symbol, calendar) in enumerate(plan.calendars.items())]
    settings = {"groups": tuple(f"{symbol}=other" for symbol in plan.calendars)}
    options = ServiceOptions(f"{plan.start:%Y-%m-%dT%H:%M:%SZ}", tuple(plan.calendars), settings)
    return make_service(database, folder, RecordedWalks(walks), options)


def on_sqlite(plan: Plan) -> dict[str, Any]:
    """Run the trial on SQLite."""
    with tempfile.TemporaryDirectory() as name:
        return _on(f"sqlite:///{name}/sessions.db", Path(name), plan)


def on_postgres(plan: Plan) -> dict[str, Any]:
    """Run the trial on a PostgreSQL server of its own.

    Raises:
        NoPostgres: there is no PostgreSQL on this machine.
    """
    with (
        tempfile.TemporaryDirectory() as name,
        running_server(find_binaries(), Options()) as server,
        server.databases.lent() as url,
    ):
        return _on(url, Path(name), plan)


def _on(url: str, folder: Path, plan: Plan) -> dict[str, Any]:
    database = Database(url)
    try:
        upgrade(database)
        service = prepare(database, folder, plan)
        replay(service, plan)
        return assess(service, plan)
    finally:
        database.close()


def main() -> int:
    """Run the trials, print their figures and return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started ends with it
    trials: dict[str, Callable[[Plan], dict[str, Any]]] = {"sqlite": on_sqlite, "postgresql": on_postgres}
    document: dict[str, Any] = {}
    missed: list[str] = []
    for name in options.database or trials:
        try:
            document[name] = trials[name](QUICK if options.quick else FULL)
        except NoPostgres as error:
            document[name] = {"skipped": str(error)}
            continue
        missed += [f"{name}: {each}" for each in misses(document[name])]
    sys.stdout.write(json.dumps(document | {"missed": missed}, indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
