"""Common parts of the commands: settings, a reporter for the output, and JSON."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from service.bootstrap import open_service
from service.cli.reporters import LogReporter, TerminalReporter
from service.log_config import configure_logs
from service.runtime.context import ServiceContext
from service.runtime.progress import Reporter, SilentReporter
from service.settings import load_settings

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def parse_date(text: str) -> date:
    """Parse an option's date.

    Raises:
        typer.BadParameter: It is not an ISO date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a date; write it as 2015-01-02") from error


FirstSession = Annotated[
    date, typer.Option("--from", parser=parse_date, metavar="DATE", help="First as_of session, inclusive.")
]
LastSession = Annotated[
    date, typer.Option("--to", parser=parse_date, metavar="DATE", help="Last as_of session, inclusive.")
]


def parse_names(text: str) -> tuple[str, ...]:
    """Split at commas: names without spaces around them, each once, in their order."""
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


@contextmanager
def service(*, quiet: bool = False) -> Iterator[ServiceContext]:
    """Open the service of this environment's settings.

    Args:
        quiet: Report no progress (for `--json`).
    """
    settings = load_settings()
    configure_logs(settings.log_level)
    reporter: Reporter = SilentReporter() if quiet else reporter_for_output()
    with open_service(settings, reporter) as context:
        yield context


def reporter_for_output() -> Reporter:
    """Return a reporter: tables and bars on a terminal, JSON log lines elsewhere."""
    return TerminalReporter() if sys.stdout.isatty() else LogReporter()


def emit(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=2, default=_plain) + "\n")


def _plain(value: Any) -> str:
    """Return instants as the API writes them, in UTC with a Z; everything else as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def echo(sentence: str) -> None:
    """Print one line of text."""
    sys.stdout.write(sentence + "\n")
