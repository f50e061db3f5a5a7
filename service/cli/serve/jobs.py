"""One-off commands: they claim runs like a scheduler, or request them from the active one, and print the result."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from service.api.common.rows import RunRow
from service.bootstrap import require_watchlist
from service.cli.common import JsonFlag, echo, emit, service
from service.cli.serve.follow import FOLLOW_LIMIT, ended_runs, read_run_rows, send_request
from service.cli.serve.forecast_output import forecast_document, forecast_lines
from service.db.change_counters import lock_changes
from service.errors import NotFound, TplusError
from service.market.instruments import list_instruments
from service.run_requests.store import NewRequest
from service.runs import JOBS, Outcome, read_outcomes
from service.runtime.context import ServiceContext
from service.scheduler.leader import leader
from service.scheduler.loop import Scheduler
from service.scheduler.plan import newest_runs, plan_trainings
from service.vocabulary import Job, RequestKind, RunState, SymbolState

PERMANENT = (SymbolState.UNKNOWN, SymbolState.FAILING, "refused")
"""States of a symbol that will not get a forecast without a change."""

app = typer.Typer()


@app.command("run-due")
def run_due(as_json: JsonFlag = False) -> None:
    """Run all due jobs, including training, and exit; for cron and timers."""
    _one_off(JOBS, Job.FORECAST, as_json=as_json)


@app.command("pull")
def pull(as_json: JsonFlag = False) -> None:
    """Pull due bars."""
    _one_off((Job.PULL,), Job.PULL, as_json=as_json)


@app.command("score")
def score(as_json: JsonFlag = False) -> None:
    """Pull due bars and score the forecasts whose sessions have closed."""
    _one_off((Job.PULL, Job.SCORE), Job.SCORE, as_json=as_json)


@app.command("train")
def train(as_json: JsonFlag = False) -> None:
    """Run due jobs, and train every group at the newest final session unless that is done."""
    _one_off(JOBS, Job.TRAIN, as_json=as_json)


@app.command("forecast")
def forecast(
    symbols: list[str] = typer.Argument(None, help="Show only these symbols."), as_json: JsonFlag = False
) -> None:
    """Pull and score, forecast the newest final session, and show the forecasts."""
    with service(quiet=as_json) as context:
        _require_watched(context, symbols or ())
        ids = _run_jobs(context, (Job.PULL, Job.SCORE, Job.FORECAST), Job.FORECAST)
        document = forecast_document(context, ids, symbols or ())
        if as_json:
            emit(document)
        else:
            for line in forecast_lines(document):
                echo(line)
        _raise_failures(read_run_rows(context, ids))
        _raise_permanent(document["forecasts"])


def _one_off(jobs: Sequence[str], shown: str, *, as_json: bool) -> None:
    with service(quiet=as_json) as context:
        ids = _run_jobs(context, jobs, shown)
        rows = read_run_rows(context, ids)
        if as_json:
            emit({"market_time": context.market_now(), "runs": [_run_document(context, row) for row in rows]})
        else:
            for row in rows:
                counts = ", ".join(f"{count} {name}" for name, count in sorted(row.counts.items())) or "nothing to do"
                echo(f"{row.job} {row.scope} {row.session}: {row.state} ({counts})")
        _raise_failures(rows)


def _run_jobs(context: ServiceContext, jobs: Sequence[str], shown: str) -> list[int]:
    """Do the work, or request it; returns the ids of the newest runs of the job to show."""
    with context.database.reading() as connection:
        require_watchlist(connection)
        active = leader(connection, context.machine.now(connection))
    if active is not None and context.database.is_sqlite:
        return _follow(context, shown, active)
    if shown == Job.TRAIN:
        Scheduler(context, (Job.PULL, Job.SCORE, Job.FORECAST)).drain()  # a training waits for the jobs before it
        with context.database.transaction() as connection:
            lock_changes(connection)
            plan_trainings(context, connection, context.market.now(connection))
    if not Scheduler(context, jobs).drain():
        return _follow(context, shown, "started meanwhile")
    with context.database.reading() as connection:
        return newest_runs(connection, shown)


def _follow(context: ServiceContext, job: str, active: str) -> list[int]:
    """Send a request to the active scheduler and wait until its runs have ended."""
    request = send_request(context, NewRequest(RequestKind.RUN, {"job": job}), active)
    deadline = time.monotonic() + FOLLOW_LIMIT.total_seconds()
    while time.monotonic() < deadline:
        found = ended_runs(context, request)
        if found is not None:
            return found
        with context.database.reading() as connection:
            if leader(connection, context.machine.now(connection)) is None:
                raise TplusError(f"the active scheduler ({active}) ended before {job} was done; run the command again")
        time.sleep(0.2)
    raise TplusError(f"the active scheduler ({active}) has not finished {job} within {FOLLOW_LIMIT}; see its log")


def _run_document(context: ServiceContext, row: RunRow) -> dict[str, Any]:
    with context.database.reading() as connection:
        outcomes = read_outcomes(connection, row.id)
    return {
        "id": row.id,
        "job": row.job,
        "scope": row.scope,
        "session": row.session,
        "state": row.state,
        "counts": row.counts,
        "error": row.error,
        "warnings": row.warnings,
        "outcomes": [
            {"symbol": outcome.symbol, "state": outcome.state, "reason": outcome.reason} for outcome in outcomes
        ],
    }


def _require_watched(context: ServiceContext, symbols: Sequence[str]) -> None:
    with context.database.reading() as connection:
        watched = {instrument.symbol for instrument in list_instruments(connection, active=True)}
    missing = [symbol for symbol in symbols if symbol not in watched]
    if missing:
        names = " ".join(missing)
        raise NotFound(f"{', '.join(missing)} is not on the watchlist; add it with `tplus symbols add {names}`")


def _raise_permanent(entries: Sequence[Mapping[str, Any]]) -> None:
    """Raise if no shown symbol has a forecast, and none will get one."""
    if entries and all(entry["state"] in PERMANENT for entry in entries):
        first = entries[0]
        message = Outcome(first["symbol"], first["state"], first["reason"]).message
        raise TplusError(f"no symbol could be forecast; {message}")


def _raise_failures(rows: Sequence[RunRow]) -> None:
    """Raise if a run failed."""
    failed = [row for row in rows if row.state == RunState.FAILED]
    if failed:
        raise TplusError("; ".join(f"{row.job} {row.scope} {row.session} failed: {row.error}" for row in failed))
