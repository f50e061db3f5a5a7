"""`tplus plot`: writes a figure of one symbol as a page, a picture or JSON, with the code of the API."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from service.api.common.dependencies import Reader
from service.api.common.errors import database_fault
from service.api.common.schemas import Strategy
from service.api.figures.read_figure import FigureQuery, read_figure
from service.api.figures.schemas import FigureAnswer, FigureKind, FigureRange
from service.charts.theme import ThemeName
from service.cli.common import JsonFlag, echo, emit, parse_date
from service.cli.plots.html import page
from service.cli.plots.image import Size, picture
from service.db.session import Database
from service.errors import DatabaseError, SettingsError, TplusError
from service.runtime.database_identity import check_stamp
from service.settings import Settings, load_settings

_MIN_PIXELS, _MAX_PIXELS = 100, 8000

app = typer.Typer()


@app.command("plot")
def plot(
    symbol: Annotated[str, typer.Argument(help="Symbol on the watchlist, such as AAPL.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write: .html, .png, .svg or .json.")],
    as_of: Annotated[
        date | None,
        typer.Option(
            "--as-of",
            parser=parse_date,
            metavar="DATE",
            help="Forecast as of this session, and the closes since; default: the newest forecast.",
        ),
    ] = None,
    kind: Annotated[FigureKind, typer.Option("--kind", help="Kind of figure.")] = "forecast",
    span: Annotated[FigureRange, typer.Option("--range", help="Range of the candles.")] = "3m",
    theme: Annotated[ThemeName, typer.Option("--theme", help="Colours.")] = "light",
    strategy: Annotated[Strategy, typer.Option("--strategy", help="Strategy of the forecasts.")] = "multi_step",
    step: Annotated[
        int, typer.Option("--step", min=1, max=3, help="Step of --kind versus: 1 = T, 2 = T+1, 3 = T+2.")
    ] = 1,
    width: Annotated[
        int,
        typer.Option("--width", min=_MIN_PIXELS, max=_MAX_PIXELS, metavar="PIXELS", help="Width of a picture."),
    ] = 1000,
    height: Annotated[
        int,
        typer.Option("--height", min=_MIN_PIXELS, max=_MAX_PIXELS, metavar="PIXELS", help="Height of a picture."),
    ] = 560,
    as_json: JsonFlag = False,
) -> None:
    """Draw a figure of one symbol, and write it to a file.

    A page (.html) is self-contained and opens offline; pictures (.png, .svg) need a Chromium or Chrome on this
    machine; .json is the answer of /v1/figures.
    """
    write = _writer(out)
    settings = load_settings()
    query = FigureQuery(symbol, kind, as_of, span, theme, strategy, step)
    answer = _read(settings, query)
    made = write(answer, settings, Size(width, height))
    try:
        out.write_bytes(made)
    except OSError as error:
        raise TplusError(f"{out} cannot be written: {error.strerror}; name another file with --out") from error
    if as_json:
        emit({"out": str(out), "symbol": answer.symbol, "as_of": answer.as_of, "caption": answer.caption})
        return
    echo(f"{out}: {answer.title}. {answer.caption}")


def _read(settings: Settings, query: FigureQuery) -> FigureAnswer:
    """Return the figure from the database of the settings.

    Raises:
        DatabaseError: the database does not exist, is at another migration, or belongs to other settings.
    """
    database = Database(settings.url, settings.lease_seconds)
    try:
        with database.reading() as connection:
            check_stamp(connection, settings.source_name, settings.market_clock)
        with Reader(settings, database).snapshot() as snapshot:
            return read_figure(snapshot, settings, query)
    except SQLAlchemyError as error:
        fault = database_fault(database)
        if fault is None:
            raise
        raise DatabaseError(fault.detail) from error
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
        raise SettingsError(f"plot: --out {out} must end in {', '.join(_WRITERS)}")
    return found
