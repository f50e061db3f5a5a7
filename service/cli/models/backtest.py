"""`tplus backtest`: every forecaster walked forward through recorded prices, into one Parquet file."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import typer

from models.backtest.forecasters import BASELINES, STRATEGIES
from models.config import MAX_LOOKBACK, VALIDATION_SESSIONS
from service.backtest.run import Backtest, BacktestRequest, BacktestSummary
from service.cli.arguments import CommandParser
from service.cli.common import emit, reporter_for_output, say
from service.clock import process_now
from service.errors import SettingsError
from service.log_config import configure_logs
from service.prices.sources.base import PriceSource
from service.prices.sources.registry import make_source
from service.runtime.progress import Reporter, SilentReporter
from service.settings import load_settings

_AFTER = timedelta(days=7)
"""How long after a record's last session every bar of it is final."""
_MEGABYTE = 1024 * 1024
_MOST = 100_000
_MOST_SEEDS = 20
_MOST_JOBS = 256

app = typer.Typer()


# More options than a function should have parameters: they are declared as data.
@app.command(
    "backtest",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def backtest(context: typer.Context) -> None:
    """Walk forecasters forward through recorded prices into one file; `tplus backtest --help` lists the options."""
    options = _parser().parse_args(context.args)
    settings = load_settings()
    configure_logs(settings.log_level)
    request = BacktestRequest(
        symbols=_names(options.symbols),
        first=_day("--from", options.first),
        last=_day("--to", options.last),
        refit=_whole("--refit", options.refit, _MOST),
        stop_sessions=_whole("--stop", options.stop, _MOST),
        networks=_names(options.networks),
        seeds=_whole("--seeds", options.seeds, _MOST_SEEDS),
        lookbacks=tuple(_whole("--lookbacks", each, MAX_LOOKBACK) for each in _names(options.lookbacks)),
        baselines=_names(options.baselines),
        strategies=_names(options.strategies),
    )
    reporter: Reporter = SilentReporter() if options.json else reporter_for_output()
    prices = make_source(options.source or settings.source, Path(settings.data_dir) / "yahoo-cache")
    jobs = _whole("--jobs", options.jobs, _MOST_JOBS) if options.jobs else 0
    summary = Backtest(request, settings, reporter).run(prices, _at(prices), Path(options.out).absolute(), jobs)
    _show(summary, as_json=options.json)


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="tplus backtest",
        description="Walk forecasters forward: refit every so many sessions, forecast every session between, write "
        "one Parquet file. Killed and started again with the same words, it goes on where it was.",
    )
    add = parser.add_argument
    add("--source", help="sample, files:DIR or yahoo; unset = TPLUS_SOURCE")
    add("--symbols", required=True, help="symbols to forecast, by comma")
    add("--from", dest="first", required=True, metavar="DATE", help="first as_of session, inclusive")
    add("--to", dest="last", required=True, metavar="DATE", help="last as_of session, inclusive")
    add("--refit", default="252", metavar="SESSIONS", help="sessions that one fit forecasts (%(default)s)")
    add("--stop", default=str(VALIDATION_SESSIONS), metavar="SESSIONS", help="early-stopping span (%(default)s)")
    add("--networks", default="lstm,linear", metavar="NAMES", help="networks, by comma; '' for none (%(default)s)")
    add("--seeds", default="3", metavar="K", help="seeds of each network (%(default)s)")
    add("--lookbacks", default="5", metavar="SESSIONS", help="sessions in a window, by comma (%(default)s)")
    add("--baselines", default=",".join(BASELINES), metavar="NAMES", help="baselines, by comma (%(default)s)")
    add("--strategies", default=",".join(STRATEGIES), metavar="NAMES", help="strategies, by comma (%(default)s)")
    add("--jobs", default="", metavar="N", help="processes; unset = one for each core")
    add("--out", required=True, metavar="FILE", help="Parquet file; finished parts are kept in a folder beside it")
    add("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def _at(source: PriceSource) -> datetime:
    """When everything recorded is final; now, where prices come from no record."""
    record = source.record()
    return process_now() if record is None else datetime.combine(record.last + _AFTER, time(), UTC)


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{option} {text!r} is no date; write it as 2015-01-02") from error


def _whole(option: str, text: str, most: int) -> int:
    """A whole number from 1 to `most`."""
    if not text.strip().isdecimal() or not 1 <= int(text) <= most:
        raise SettingsError(f"{option} {text!r} must be a whole number from 1 to {most}")
    return int(text)


def _show(summary: BacktestSummary, *, as_json: bool) -> None:
    document: dict[str, Any] = {
        "out": str(summary.out),
        "rows": summary.rows,
        "folds": summary.folds,
        "made": summary.made,
        "found": summary.found,
        "notes": list(summary.notes),
        "seconds": round(summary.seconds, 1),
        "peak_megabytes": round(summary.peak_bytes / _MEGABYTE),
    }
    if as_json:
        emit(document)
        return
    say(f"{summary.out}: {summary.rows} rows of {summary.folds} folds; {summary.made} fits made now, "
        f"{summary.found} found finished")  # fmt: skip
    for note in summary.notes:
        say(f"note: {note}")
    say(f"took {document['seconds']} s and at most {document['peak_megabytes']} MB in all processes together")
