"""`tplus profile`: shows where the time of a night's runs went."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Row, func, or_, select

from models.phases import PhaseUsage
from service.bootstrap import require_watchlist
from service.cli.common import JsonFlag, echo, emit, service
from service.db.tables import runs
from service.errors import NotFound, TplusError
from service.runs import DUE_JOBS, JOBS, LIVE_STATES
from service.runtime.context import ServiceContext
from service.runtime.phases import read_phases
from service.scheduler.leader import leader
from service.scheduler.loop import Scheduler

MEGABYTE = 1_000_000
_MEASURED = (runs.c.job.in_(JOBS), runs.c.phases.is_not(None))

app = typer.Typer()


@app.command("profile")
def profile(
    run: Annotated[int | None, typer.Argument(help="Number of a run; without it, all of the newest session.")] = None,
    night: Annotated[bool, typer.Option("--night", help="First run everything that is due, as run-due does.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show where the time of the newest session's runs went: seconds, CPU, memory and rows by phase."""
    if night and run is not None:
        raise typer.BadParameter("--night measures what is due now; leave the number of the run out")
    with service(quiet=as_json) as context:
        before = _run_night(context) if night else None
        with context.database.reading() as connection:
            if before is not None:
                rows = _since(connection, before)
            else:
                rows = _newest(connection) if run is None else _run_of(connection, run)
    if not rows:
        raise NotFound(
            "nothing is due now; the next session is measured by itself, see `tplus profile`"
            if night
            else "no run has been measured yet; `tplus profile --night` runs what is due"
        )
    if as_json:
        emit({"runs": [_document(row) for row in rows]})
        return
    for row in rows:
        for line in run_lines(row):
            echo(line)
    if len(rows) > 1:
        echo(_total([usage for row in rows for usage in read_phases(row.phases)]))


def run_lines(row: Row[Any]) -> Iterator[str]:
    """Yield a run's table, the longest phase first.

    Args:
        row: Its id, job, scope, session, state and phases.
    """
    phases = sorted(read_phases(row.phases), key=lambda usage: -usage.seconds)
    whole = sum(usage.seconds for usage in phases)
    yield f"run {row.id}: {row.job} {row.scope} {row.session}, {row.state}, {whole:.2f} s"
    yield f"  {'phase':<28} {'seconds':>9} {'share':>6} {'CPU s':>9} {'peak MB':>8} {'rows':>12}"
    for usage in phases:
        share = usage.seconds / whole if whole else 0.0
        peak = f"{usage.peak_bytes / MEGABYTE:,.0f}" if usage.peak_bytes else "-"
        rows = f"{usage.rows:,}" if usage.rows else "-"
        yield f"  {usage.name:<28} {usage.seconds:>9.2f} {share:>6.0%} {usage.cpu_seconds:>9.2f} {peak:>8} {rows:>12}"


def _total(phases: Sequence[PhaseUsage]) -> str:
    seconds, spent = sum(usage.seconds for usage in phases), sum(usage.cpu_seconds for usage in phases)
    peak = max(usage.peak_bytes for usage in phases) / MEGABYTE
    return f"all: {seconds:.2f} s, {spent:.2f} s of CPU, at most {peak:,.0f} MB in one process"


@dataclass(frozen=True, slots=True)
class _Before:
    """The newest run before a night, 0 without any, and what those that had not ended had measured."""

    newest: int
    open: Mapping[int, Any]


def _run_night(context: ServiceContext) -> _Before:
    """Run what is due and return what there was before that.

    Raises:
        TplusError: Another scheduler is active: it does what is due, and measures it.
    """
    with context.database.reading() as connection:
        require_watchlist(connection)
        active = leader(connection, context.machine.now(connection))
        newest: int = connection.execute(select(func.coalesce(func.max(runs.c.id), 0))).scalar_one()
        query = select(runs.c.id, runs.c.phases).where(runs.c.state.in_(LIVE_STATES))
        before = _Before(newest, {row.id: row.phases for row in connection.execute(query)})
    if active is not None or not Scheduler(context).drain():
        raise TplusError(
            f"the active scheduler ({active or 'started meanwhile'}) does what is due and measures it; "
            "see `tplus profile` without --night"
        )
    return before


def _run_of(connection: Connection, number: int) -> list[Row[Any]]:
    """Return one run.

    Raises:
        NotFound: There is none of that number, or it was not measured.
    """
    row = connection.execute(_query().where(runs.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"run {number} does not exist; `GET /v1/runs` lists the runs")
    if row.phases is None:
        raise NotFound(f"run {number} was not measured: it is {row.state}, or an earlier version executed it")
    return [row]


def _newest(connection: Connection) -> list[Row[Any]]:
    """Return the measured runs of the newest session, in the order of their jobs."""
    newest = select(func.max(runs.c.session)).where(*_MEASURED, runs.c.job.in_(DUE_JOBS)).scalar_subquery()
    return _in_order(connection.execute(_query().where(*_MEASURED, runs.c.session == newest)).all())


def _since(connection: Connection, before: _Before) -> list[Row[Any]]:
    """Return the runs that were measured since, new ones and those that had not ended; by session and job."""
    new_or_open = or_(runs.c.id > before.newest, runs.c.id.in_(list(before.open)))
    found = connection.execute(_query().where(*_MEASURED, new_or_open)).all()
    return _in_order([row for row in found if row.phases != before.open.get(row.id)])


def _in_order(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    return sorted(rows, key=lambda row: (row.session, JOBS.index(row.job), row.scope, row.id))


def _query() -> Any:
    names = ("id", "job", "scope", "session", "state", "phases")
    return select(*(runs.c[name] for name in names))


def _document(row: Row[Any]) -> dict[str, Any]:
    phases: Iterable[PhaseUsage] = read_phases(row.phases)
    return {
        "id": row.id,
        "job": row.job,
        "scope": row.scope,
        "session": row.session,
        "state": row.state,
        "phases": [
            {
                "name": usage.name,
                "seconds": usage.seconds,
                "cpu_seconds": usage.cpu_seconds,
                "peak_bytes": usage.peak_bytes,
                "rows": usage.rows,
            }
            for usage in phases
        ],
    }
