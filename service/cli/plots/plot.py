"""`tplus plot`: a figure of one symbol as a page, a picture or JSON, made by the same code as the API's figures."""

import argparse
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import get_args

import typer
from sqlalchemy.exc import SQLAlchemyError

from service.api.common.dependencies import Reader
from service.api.common.errors import database_fault
from service.api.figures.read_figure import FigureQuery, read_figure
from service.api.figures.schemas import FigureAnswer, FigureKind, FigureRange
from service.api.forecasts.schemas import Strategy
from service.charts.theme import THEMES
from service.cli.arguments import CommandParser
from service.cli.common import emit, say
from service.cli.plots.html import page
from service.cli.plots.image import Size, picture
from service.db.session import Database
from service.errors import DatabaseError, SettingsError, TplusError
from service.runtime.database_identity import check_stamp
from service.settings import Settings, load_settings

_MOST_PIXELS = 8000

app = typer.Typer()


# More options than a function should have parameters: they are declared as data.
@app.command(
    "plot",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def plot(context: typer.Context) -> None:
    """Draw a forecast, forecasts versus closes, or skill, into a file; `tplus plot --help` lists the options."""
    options = _parser().parse_args(context.args)
    out = Path(options.out)
    write = _writer(out)
    settings = load_settings()
    answer = _read(settings, _wanted(options))
    made = write(answer, settings, Size(_pixels("--width", options.width), _pixels("--height", options.height)))
    try:
        out.write_bytes(made)
    except OSError as error:
        raise TplusError(f"{out} cannot be written: {error.strerror}; name another file with --out") from error
    if options.json:
        emit({"out": str(out), "symbol": answer.symbol, "as_of": answer.as_of, "caption": answer.caption})
        return
    say(f"{out}: {answer.title}. {answer.caption}")


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="tplus plot",
        description="Draw a figure of one symbol into a file. A page (.html) has everything in it and opens offline; "
        "pictures (.png, .svg) need a Chromium or Chrome on this machine; .json is what /v1/figures answers.",
    )
    add = parser.add_argument
    add("symbol", help="symbol on the watchlist, such as AAPL")
    add("--out", required=True, metavar="FILE", help="file to write: .html, .png, .svg or .json")
    add("--as-of", dest="as_of", metavar="DATE", help="what was forecast as of this session, and what came; else now")
    add("--kind", default="forecast", choices=get_args(FigureKind), help="what to draw (%(default)s)")
    add("--range", default="3m", dest="span", choices=get_args(FigureRange), help="reach of the candles (%(default)s)")
    add("--theme", default="light", choices=tuple(THEMES), help="colours (%(default)s)")
    add("--strategy", default="multi_step", choices=get_args(Strategy), help="whose forecasts (%(default)s)")
    add("--step", default="1", choices=("1", "2", "3"), help="of --kind versus: 1 = T, 2 = T+1, 3 = T+2 (%(default)s)")
    add("--width", default="1000", metavar="PIXELS", help="width of a picture (%(default)s)")
    add("--height", default="560", metavar="PIXELS", help="height of a picture (%(default)s)")
    add("--json", action="store_true", help="print one JSON document instead of text")
    return parser


def _wanted(options: argparse.Namespace) -> FigureQuery:
    return FigureQuery(
        symbol=options.symbol,
        kind=options.kind,
        as_of=None if options.as_of is None else _day(options.as_of),
        span=options.span,
        theme=options.theme,
        strategy=options.strategy,
        step=int(options.step),
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"plot: --as-of {text!r} is no date; write it as 2018-06-01") from error


def _pixels(option: str, text: str) -> int:
    if not text.isdecimal() or not 100 <= int(text) <= _MOST_PIXELS:
        raise SettingsError(f"plot: {option} {text!r} must be a whole number from 100 to {_MOST_PIXELS}")
    return int(text)


def _read(settings: Settings, wanted: FigureQuery) -> FigureAnswer:
    """The figure out of the database of these settings.

    Raises:
        DatabaseError: the database is not there, stands at another migration, or belongs to other settings.
    """
    database = Database(settings.url)
    try:
        with database.reading() as connection:
            check_stamp(connection, settings.source_name, settings.market_clock)
        with Reader(settings, database).snapshot() as snapshot:
            return read_figure(snapshot, settings, wanted)
    except SQLAlchemyError as error:
        reason = database_fault(database)
        if reason is None:
            raise
        raise DatabaseError(reason) from error
    finally:
        database.close()


Write = Callable[[FigureAnswer, Settings, Size], bytes]


def _as_page(answer: FigureAnswer, _settings: Settings, _size: Size) -> bytes:
    return page(answer).encode()


def _as_json(answer: FigureAnswer, _settings: Settings, _size: Size) -> bytes:
    return answer.model_dump_json(indent=2).encode()


def _as_png(answer: FigureAnswer, settings: Settings, size: Size) -> bytes:
    return picture(answer, "png", size, settings.browser)


def _as_svg(answer: FigureAnswer, settings: Settings, size: Size) -> bytes:
    return picture(answer, "svg", size, settings.browser)


_WRITERS: Mapping[str, Write] = {".html": _as_page, ".png": _as_png, ".svg": _as_svg, ".json": _as_json}


def _writer(out: Path) -> Write:
    found = _WRITERS.get(out.suffix.lower())
    if found is None:
        raise SettingsError(f"plot: --out {out} must end in {', '.join(_WRITERS)}, which says what to write")
    return found
