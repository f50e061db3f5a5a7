"""Entry point: parses, runs one command, and turns every known error into one sentence and an exit status.

Commands are loaded when they are used: `tplus serve` must stay as small as the API, and fast commands must not import
pandas.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from typer.core import TyperGroup
from typer.main import get_command, get_group

from service.errors import SettingsError, TplusError
from service.validation_messages import has_sentence, validation_rule

EXIT_ERROR = 1
EXIT_USAGE = 2

COMMANDS: Mapping[str, str] = {
    "up": "service.cli.serve.up",
    "serve": "service.cli.serve.serve",
    "schedule": "service.cli.serve.up",
    "run-due": "service.cli.serve.jobs",
    "pull": "service.cli.serve.jobs",
    "score": "service.cli.serve.jobs",
    "forecast": "service.cli.serve.jobs",
    "train": "service.cli.serve.jobs",
    "backfill": "service.cli.data.backfill",
    "backtest": "service.cli.models.backtest",
    "symbols": "service.cli.data.symbols",
    "files": "service.cli.data.files",
    "keys": "service.cli.access.keys",
    "audit": "service.cli.access.audit",
    "models": "service.cli.models.versions",
    "quarantine": "service.cli.data.quarantine",
    "alerts": "service.cli.alerts.alerts",
    "db": "service.cli.data.db",
    "ledger": "service.cli.data.ledger",
    "report": "service.cli.models.report",
    "plot": "service.cli.plots.plot",
    "profile": "service.cli.serve.profile",
    "ray-node": "service.cli.serve.ray_node",
    "health": "service.cli.serve.health",
    "doctor": "service.cli.doctor.command",
}
"""Command -> the module whose `app` contains it, or is it."""


class _LazyCommands(TyperGroup):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the framework's signature
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - the framework's signature
        """Return the command of that name, None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        group = get_group(import_module(COMMANDS[cmd_name]).app)
        return group.commands.get(cmd_name, group)


app = typer.Typer(
    name="tplus",
    cls=_LazyCommands,
    help="Forecast stock prices for T, T+1 and T+2, and measure the skill of the forecasts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Forecast stock prices for T, T+1 and T+2, and measure the skill of the forecasts."""


def main() -> None:
    """Run the command line; exits 0 on success, 1 on a known error, 2 on a bad setting or usage."""
    try:
        sys.exit(get_command(app).main(prog_name="tplus", standalone_mode=False))
    except typer.TyperException as error:
        _print_usage_error(error)
        sys.exit(EXIT_USAGE)
    except TplusError as error:
        _print_error(str(error))
        sys.exit(EXIT_USAGE if isinstance(error, SettingsError) else EXIT_ERROR)
    except DBAPIError as error:
        _print_error(f"database error: {error.orig}; nothing of this step was written, run the command again")
        sys.exit(EXIT_ERROR)


def _print_usage_error(error: typer.TyperException) -> None:
    """Print an error about the arguments; a group without a command has printed its help already."""
    cause = error.__cause__
    if isinstance(error, typer.BadParameter) and isinstance(cause, ValidationError):
        error.message = "; ".join(map(validation_rule, filter(has_sentence, cause.errors()))) or error.message
    message = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
    if message:
        context = getattr(error, "ctx", None)
        message = message.replace("Value error, ", "").rstrip(".")
        _print_error(f"{message}; see {'tplus' if context is None else context.command_path} --help")


def _print_error(sentence: str) -> None:
    sys.stderr.write(f"tplus: {' '.join(sentence.split())}\n")
