"""`tplus backtest`: walk-forward backtest of forecasters on recorded prices, into one Parquet file."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from models.backtest.forecasters import BASELINES, FAST_BASELINES, FAST_STRATEGIES, STRATEGIES
from models.config import MAX_LOOKBACK, VALIDATION_SESSIONS
from service.backtest.run import Backtest, BacktestRequest, BacktestSummary
from service.cli.common import FirstSession, JsonFlag, LastSession, echo, emit, parse_names, reporter_for_output
from service.clock import process_now
from service.errors import SettingsError
from service.log_config import configure_logs
from service.prices.sources.base import PriceSource
from service.prices.sources.registry import make_source
from service.runtime.progress import Reporter, SilentReporter
from service.settings import load_settings

_AFTER = timedelta(days=7)
"""Time after a record's last session at which every bar is final."""
_MEGABYTE = 1024 * 1024
_MOST = 100_000
_MOST_SEEDS = 20
_MOST_JOBS = 256

app = typer.Typer()

_Out = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="Parquet file; finished parts are kept in a folder next to it.")
]
_Baselines = Annotated[
    str,
    typer.Option(
        "--baselines",
        metavar="NAMES",
        help="Baselines, by comma; also garch.",
        show_default=", ".join(FAST_BASELINES),
    ),
]
_Strategies = Annotated[
    str,
    typer.Option(
        "--strategies",
        metavar="NAMES",
        help="Strategies, by comma; also recursive.",
        show_default=", ".join(FAST_STRATEGIES),
    ),
]


@app.command("backtest")
def backtest(
    symbols: Annotated[str, typer.Option("--symbols", help="Symbols, separated by commas.")],
    first: FirstSession,
    last: LastSession,
    out: _Out,
    source: Annotated[str, typer.Option("--source", help="sample, files:DIR or yahoo; default: TPLUS_SOURCE.")] = "",
    refit: Annotated[
        int, typer.Option("--refit", min=1, max=_MOST, metavar="SESSIONS", help="Sessions forecast per fit.")
    ] = 252,
    validation: Annotated[
        int, typer.Option("--validation", "--stop", min=1, max=_MOST, metavar="SESSIONS", help="Validation span.")
    ] = VALIDATION_SESSIONS,
    networks: Annotated[
        str, typer.Option("--networks", metavar="NAMES", help="Networks, separated by commas; '' for none.")
    ] = "lstm,linear",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=_MOST_SEEDS, metavar="K", help="Seeds of each network.")
    ] = 3,
    lookbacks: Annotated[
        str, typer.Option("--lookbacks", metavar="SESSIONS", help="Sessions in a window, separated by commas.")
    ] = "5",
    baselines: _Baselines = ",".join(FAST_BASELINES),
    strategies: _Strategies = ",".join(FAST_STRATEGIES),
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", min=1, max=_MOST_JOBS, metavar="N", help="Processes; default: one per core."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Backtest every forecaster walk-forward on recorded prices, into one Parquet file.

    Each forecaster is refitted every --refit sessions and forecasts every session. The slow ones, garch and the
    recursive strategy, must be named. Run again with the same options to resume.
    """
    request = BacktestRequest(
        symbols=parse_names(symbols),
        first=first,
        last=last,
        refit=refit,
        validation_sessions=validation,
        networks=parse_names(networks),
        seeds=seeds,
        lookbacks=_lookbacks(lookbacks),
        baselines=parse_names(baselines),
        strategies=parse_names(strategies),
    )
    settings = load_settings()
    configure_logs(settings.log_level)
    reporter: Reporter = SilentReporter() if as_json else reporter_for_output()
    prices = make_source(source or settings.source, Path(settings.data_dir) / "yahoo-cache")
    left_out = _left_out(request, reporter)
    summary = Backtest(request, settings, reporter).run(prices, _at(prices), out.absolute(), jobs or 0)
    _show(summary, left_out, as_json=as_json)


def _at(source: PriceSource) -> datetime:
    """Return when the whole record is final; now for a live source."""
    record = source.record()
    return process_now() if record is None else datetime.combine(record.last + _AFTER, time(), UTC)


def _left_out(request: BacktestRequest, reporter: Reporter) -> list[str]:
    """Report and return a sentence for each slow part that the defaults leave out, with what to add."""
    sentences = []
    if request.baselines == FAST_BASELINES:
        slow = [name for name in BASELINES if name not in FAST_BASELINES]
        sentences.append(_slow_sentence("the baseline", slow, "--baselines", FAST_BASELINES))
    if request.networks and request.strategies == FAST_STRATEGIES:
        slow = [name for name in STRATEGIES if name not in FAST_STRATEGIES]
        sentences.append(_slow_sentence("the strategy", slow, "--strategies", FAST_STRATEGIES))
    for sentence in sentences:
        reporter.notice(sentence)
    return sentences


def _slow_sentence(kind: str, slow: Sequence[str], option: str, fast: Sequence[str]) -> str:
    return f"{kind} {', '.join(slow)} is left out, since it is slow; name it with {option} {','.join((*fast, *slow))}"


def _lookbacks(text: str) -> tuple[int, ...]:
    """Parse whole numbers from 1 to MAX_LOOKBACK."""
    names = parse_names(text)
    for name in names:
        if not name.isdecimal() or not 1 <= int(name) <= MAX_LOOKBACK:
            raise SettingsError(f"--lookbacks {name!r} must be a whole number from 1 to {MAX_LOOKBACK}")
    return tuple(int(name) for name in names)


def _show(summary: BacktestSummary, left_out: Sequence[str], *, as_json: bool) -> None:
    document: dict[str, Any] = {
        "out": str(summary.out),
        "rows": summary.rows,
        "folds": summary.folds,
        "made": summary.made,
        "found": summary.found,
        "notes": list(summary.notes),
        "left_out": list(left_out),
        "seconds": round(summary.seconds, 1),
        "training_seconds": round(summary.training_seconds, 1),
        "peak_megabytes": round(summary.peak_bytes / _MEGABYTE),
    }
    if as_json:
        emit(document)
        return
    echo(f"{summary.out}: {summary.rows} rows of {summary.folds} folds; {summary.made} fits made now, "
        f"{summary.found} found finished")  # fmt: skip
    for note in summary.notes:
        echo(f"note: {note}")
    echo(f"took {document['seconds']} s, {document['training_seconds']} s of it training, and at most "
        f"{document['peak_megabytes']} MB in all processes together")  # fmt: skip
