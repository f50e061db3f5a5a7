"""Entry point: parses, runs one command, and turns every known error into one sentence and an exit status."""

import sys

import typer

from service.cli import jobs, ledger, models, symbols, up
from service.errors import SettingsError, TplusError

EXIT_ERROR = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="tplus",
    help="Dated, session-true, auditable stock forecasts for T, T+1 and T+2, with their measured skill.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
up.register(app)
jobs.register(app)
app.add_typer(symbols.app, name="symbols")
app.add_typer(models.app, name="models")
app.add_typer(ledger.app, name="db")


def main() -> None:
    """Run the command line; exits 0 on success, 1 on a known error, 2 on a bad setting or usage."""
    try:
        app()
    except TplusError as error:
        sys.stderr.write(f"tplus: {error}\n")
        sys.exit(EXIT_USAGE if isinstance(error, SettingsError) else EXIT_ERROR)
