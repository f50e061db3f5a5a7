"""Reads the data of a figure and builds it, for the route and for `tplus plot`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from service.api.accuracy.queries import read_track_records
from service.api.accuracy.schemas import AccuracyItem
from service.api.common.dependencies import Snapshot
from service.api.common.schemas import Strategy
from service.api.figures.past_intervals import read_past_intervals
from service.api.figures.schemas import FigureAnswer, FigureKind, FigureRange, FigureTable, PlotlyFigure, ReadoutLine
from service.api.forecasts.build_answer import build_answer
from service.api.forecasts.queries import ForecastQuery
from service.api.forecasts.read_forecast import read_forecast
from service.api.forecasts.schemas import ForecastAnswer
from service.api.history.build_history import read_past_forecasts
from service.api.history.queries import HistoryFilter
from service.api.history.schemas import PastForecast
from service.api.prices.queries import Span, read_bars
from service.api.prices.schemas import PriceBar
from service.api.symbols.queries import read_instrument
from service.charts.chart import Chart
from service.charts.forecast import forecast_chart
from service.charts.forecast_vs_actual import versus_chart
from service.charts.skill.figure import skill_chart
from service.charts.theme import THEMES, ThemeName
from service.errors import NotFound
from service.settings import Settings
from service.vocabulary import SERVED

DAYS: Mapping[FigureRange, int | None] = {
    "1m": 31,
    "3m": 92,
    "6m": 183,
    "1y": 366,
    "5y": 1827,
    "all": None,
}
"""Days before as_of of each range; None = all."""

_MOST_BARS = 20_000
_MOST_PAST = 150
"""Past forecasts read: the 60 scored ones that are shown, and others between them."""
_MOST_RECORDS = 200
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FigureQuery:
    """Selects a figure.

    Attributes:
        symbol: Yahoo-style name.
        kind: `forecast`, `versus` or `skill`.
        as_of: The requested session, None for the newest.
        span: Range of the candles.
        theme: `light` or `dark`.
        strategy: Strategy of the forecasts.
        step: Step of the versus figure, 1, 2 or 3.
    """

    symbol: str
    kind: FigureKind = "forecast"
    as_of: date | None = None
    span: FigureRange = "3m"
    theme: ThemeName = "light"
    strategy: Strategy = "multi_step"
    step: int = 1


def read_figure(snapshot: Snapshot, settings: Settings, query: FigureQuery) -> FigureAnswer:
    """Return a figure of one symbol.

    Raises:
        NotFound: the symbol, a forecast as of that session, or one of that strategy does not exist.
        NotYet: the symbol has no forecast yet; the message says why.
    """
    answer = build_answer(read_forecast(snapshot, settings, query.symbol, ForecastQuery(snapshot.now, query.as_of)))
    chart = _chart(snapshot, answer, query)
    return FigureAnswer(
        symbol=answer.symbol,
        kind=query.kind,
        title=chart.title,
        caption=chart.caption,
        alt=chart.alt,
        table=FigureTable(caption=chart.table.caption, columns=chart.table.columns, rows=chart.table.rows),
        readout=[ReadoutLine(x=line.x, text=line.text) for line in chart.readout],
        figure=PlotlyFigure(**chart.figure),
        empty=chart.empty,
        as_of=answer.as_of,
        edition=answer.edition.number,
        stale_after=answer.stale_after,
    )


def _chart(snapshot: Snapshot, answer: ForecastAnswer, query: FigureQuery) -> Chart:
    theme = THEMES[query.theme]
    if query.kind == "versus":
        return versus_chart(answer, _past(snapshot, answer, query), query.strategy, query.step, theme)
    if query.kind == "skill":
        return skill_chart(answer, _track_records(snapshot, answer, query), query.strategy, theme)
    bars = _bars(snapshot, answer, query)
    past = read_past_intervals(snapshot, answer, query.strategy, [bar.session for bar in bars])
    chart = forecast_chart(answer, bars, query.strategy, theme, past)
    if chart is None:
        raise NotFound(
            f"no {query.strategy} forecast of {answer.symbol} was published as of {answer.as_of}; use the other "
            "strategy"
        )
    return chart


def _bars(snapshot: Snapshot, answer: ForecastAnswer, query: FigureQuery) -> list[PriceBar]:
    """Return the bars of the range, and those of the target sessions that are stored."""
    days = DAYS[query.span]
    first = None if days is None else answer.as_of - timedelta(days=days)
    targets = [
        step.target_session for part in (answer.multi_step, answer.one_step) if part is not None for step in part.steps
    ]
    span = Span(answer.symbol, first, max([answer.as_of, *targets]))
    return [PriceBar.of(bar) for bar in read_bars(snapshot.connection, span, _MOST_BARS)]


def _past(snapshot: Snapshot, answer: ForecastAnswer, query: FigureQuery) -> list[PastForecast]:
    """Return the published forecasts of a step in this mode, newest first; up to as_of if one is requested."""
    filters = HistoryFilter(answer.symbol, SERVED, strategy=query.strategy, step=query.step, mode=answer.mode)
    after = None if query.as_of is None else (query.as_of, _LAST_ID)
    instrument = read_instrument(snapshot.connection, answer.symbol)
    forecasts = read_past_forecasts(snapshot, instrument, filters, after, _MOST_PAST)
    return [past for past in forecasts if query.as_of is None or past.target_session <= query.as_of]


def _track_records(snapshot: Snapshot, answer: ForecastAnswer, query: FigureQuery) -> list[AccuracyItem]:
    filters: dict[str, str | int | None] = {
        "scope_kind": "symbol",
        "scope": answer.symbol,
        "strategy": query.strategy,
        "mode": answer.mode,
    }
    rows = read_track_records(snapshot.connection, filters, None, _MOST_RECORDS)
    return [AccuracyItem.of(row) for row in rows]
