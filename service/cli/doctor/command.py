"""The command: every check in order, each finding one line."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

import typer
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from service.cli.common import JsonFlag, echo, emit
from service.cli.doctor.database_check import check_clock, check_identity, check_server, open_database
from service.cli.doctor.findings import Finding, Level, error, examine
from service.cli.doctor.machine_check import check_disk, check_folder
from service.cli.doctor.market_check import check_calendars, check_source
from service.cli.doctor.settings_check import check_settings, load_known, shown_settings
from service.cli.doctor.state_check import (
    check_access,
    check_alerts,
    check_artifacts,
    check_runs,
    check_scheduler,
)
from service.clock import DatabaseClock, process_now
from service.db.session import Database
from service.db.tables import market_clock
from service.log_config import configure_logs
from service.prices.pull.probe import DEFAULT_PROBE, pick_probes
from service.scheduler.state import active_calendars
from service.settings import Settings, set_variables

app = typer.Typer()


@app.command("doctor")
def doctor(
    as_json: JsonFlag = False,
    without_source: bool = typer.Option(False, "--without-source", help="Do not request anything from the source."),
) -> None:
    """Examine settings, database, machine, calendars, source and scheduler; exits 1 if there is an error."""
    configure_logs("error")
    variables = set_variables()
    settings, findings = load_known(variables)
    if settings is not None:
        findings += _examine(settings, with_source=not without_source)
    if as_json:
        emit(_document(settings, findings))
    else:
        for finding in findings:
            echo(finding.line)
    if any(finding.level is Level.ERROR for finding in findings):
        raise typer.Exit(1)


def _document(settings: Settings | None, findings: list[Finding]) -> Mapping[str, Any]:
    return {
        "settings": {} if settings is None else {name: asdict(each) for name, each in shown_settings(settings).items()},
        "findings": [asdict(finding) for finding in findings],
        "errors": sum(finding.level is Level.ERROR for finding in findings),
        "warnings": sum(finding.level is Level.WARNING for finding in findings),
    }


def _examine(settings: Settings, *, with_source: bool) -> Iterator[Finding]:
    yield from check_settings(settings)
    yield from examine("folder", lambda: check_folder(settings))
    yield from examine("disk", lambda: check_disk(settings))
    database, findings = open_database(settings)
    yield from findings
    now = process_now()
    probes: tuple[str, ...] = (DEFAULT_PROBE,)
    if database is not None:
        try:
            yield from _examine_database(database, settings)
            with database.reading() as connection:
                now, probes = _market_now(connection), pick_probes(connection)
        except SQLAlchemyError as fault:
            yield error("database", f"it could not be read to the end ({type(fault).__name__}); run this again")
        finally:
            database.close()
    if with_source:
        yield from examine("source", lambda: check_source(settings, probes, now))


def _examine_database(database: Database, settings: Settings) -> Iterator[Finding]:
    """Examine each part in a snapshot of its own: on PostgreSQL a failed query ends its transaction."""

    def machine_now(connection: Connection) -> datetime:
        return DatabaseClock().now(connection)

    checks: Mapping[str, Callable[[Connection], Iterator[Finding]]] = {
        "identity": lambda connection: check_identity(connection, settings),
        "server": check_server,
        "clock": lambda connection: check_clock(connection, settings),
        "scheduler": lambda connection: check_scheduler(connection, settings, machine_now(connection)),
        "runs": check_runs,
        "calendars": lambda connection: check_calendars(active_calendars(connection), _market_now(connection).date()),
        "artifacts": lambda connection: check_artifacts(connection, settings),
        "access": lambda connection: check_access(connection, settings, machine_now(connection)),
        "alerts": check_alerts,
    }

    def within(check: Callable[[Connection], Iterator[Finding]]) -> list[Finding]:
        with database.reading() as connection:
            return list(check(connection))

    for name, check in checks.items():
        yield from examine(name, partial(within, check))


def _market_now(connection: Connection) -> datetime:
    """Return market time: replayed if the database has a replayed clock."""
    replayed: datetime | None = connection.execute(select(market_clock.c.now)).scalar_one_or_none()
    return DatabaseClock().now(connection) if replayed is None else replayed
