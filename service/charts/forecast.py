"""The forecast figure: candles up to as_of, and T, T+1, T+2 on a quarter of the width."""

from collections.abc import Sequence

from service.api.common.schemas import Strategy
from service.api.forecasts.schemas import ForecastAnswer
from service.api.prices.schemas import PriceBar
from service.charts import forecast_text as words
from service.charts.axis import step_ticks, ticks
from service.charts.candles import candles, volume
from service.charts.chart import Chart, Json, figure
from service.charts.forecast_bands import as_of_line, band_label_x, band_labels, fan, prices
from service.charts.forecast_view import View, view_of
from service.charts.past_intervals import PastInterval
from service.charts.theme import Theme, layout, note

_MARGIN = 0.05
"""Margin above and below the prices, as a share of their range."""

_VOLUME_HEIGHT = 0.14
"""Height of the volume, as a share of the plot."""

_LABEL_LIMIT = 0.95
"""Labels of candles end at this share of them, so that none overlaps the label of T."""


def forecast_chart(
    answer: ForecastAnswer,
    bars: Sequence[PriceBar],
    strategy: Strategy,
    theme: Theme,
    past: Sequence[PastInterval] = (),
) -> Chart | None:
    """Return the forecast figure: candles, volume, past intervals, forecast bands, random walk, and actual closes.

    Args:
        answer: Answer of the forecast route.
        bars: Bars of the range up to as_of (inclusive), and the stored ones of the target sessions.
        strategy: Strategy of the bands; the other strategy's T is drawn next to them.
        theme: Colours.
        past: Past intervals of T on the forecast's split basis; drawn if each candle is one session.

    Returns:
        The chart; None without a published forecast of that strategy.
    """
    view = view_of(answer, bars, strategy, past)
    if view is None:
        return None
    low, high = _reach(prices(view))
    traces = [
        *volume(view.slots, theme),
        candles(view.slots, theme, view.sessions),
        *view.past.traces(theme),
        *fan(view, theme),
        as_of_line(view, low, high, theme),
    ]
    return Chart(
        title=f"{answer.symbol}: forecast as of {answer.as_of}",
        caption=words.caption(view),
        alt=words.alt(view),
        table=words.table(view),
        readout=words.readout(view),
        figure=figure(traces, _layout(view, (low, high), theme)),
    )


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the price axis."""
    low, high = min(values), max(values)
    room = _MARGIN * (high - low) or 0.01 * abs(high) or 1.0
    return low - room, high + room


def _layout(view: View, reach: tuple[float, float], theme: Theme) -> Json:
    made, zone = layout(theme), view.zone
    low, high = reach
    places, texts = ticks([slot.last for slot in view.slots])
    kept = [(at, text) for at, text in zip(places, texts, strict=True) if at < _LABEL_LIMIT * len(view.slots)]
    steps = view.main.steps
    made["xaxis"] |= {
        "type": "linear",
        "range": [-0.7, zone.end],
        "tickmode": "array",
        "tickvals": [*(at for at, _ in kept), *(zone.at(step.step) for step in steps)],
        "ticktext": [*(text for _, text in kept), *step_ticks([step.target_session for step in steps])],
        "rangeslider": {"visible": False},
        "fixedrange": False,
    }
    made["yaxis"] |= {"range": [low, high], "tickformat": f",.{view.places}f", "nticks": 7}
    _add_volume(made, view)
    made |= {"barmode": "overlay", "bargap": 0.3, "dragmode": "zoom", "shapes": [_last_price_line(view, theme)]}
    made["annotations"] = [
        note(theme, f"as of {view.answer.as_of}", zone.start, 1.0)
        | {"xref": "x", "xanchor": "right", "yanchor": "bottom", "xshift": -4},
        note(theme, "forecast", zone.start, 1.0) | {"xref": "x", "xanchor": "left", "yanchor": "bottom", "xshift": 4},
        *_band_notes(view, low, high, theme),
        _last_price_tag(view, theme),
    ]
    if view.per_slot > 1:
        several = f"{view.per_slot} sessions a candle"
        made["annotations"].append(note(theme, several, 0.0, 1.0) | {"xanchor": "left", "yanchor": "bottom"})
    made["meta"] = {"zone": [zone.start, zone.end], "slots": zone.slots, "currency": view.answer.currency}
    return made


def _add_volume(made: Json, view: View) -> None:
    """Give the volume its own axis below the prices; without volume the prices keep the whole height."""
    highest = max((slot.volume or 0.0 for slot in view.slots), default=0.0)
    if highest <= 0:
        return
    made["yaxis2"] = {**made["yaxis"], "domain": [0.0, _VOLUME_HEIGHT], "anchor": "x", "range": [0, highest * 1.05]}
    made["yaxis2"] |= {"showticklabels": False, "showgrid": False, "automargin": False}
    made["xaxis"]["anchor"] = "y2"
    made["yaxis"]["domain"] = [_VOLUME_HEIGHT + 0.04, 1.0]


def _last_price_line(view: View, theme: Theme) -> Json:
    close = view.answer.last_close
    line = {"color": theme.text, "width": 1, "dash": "dot"}
    ends = {"xref": "paper", "x0": 0, "x1": 1, "yref": "y", "y0": close, "y1": close}
    return {"type": "line", "layer": "below", "line": line, **ends}


def _last_price_tag(view: View, theme: Theme) -> Json:
    """Return as_of's close as a filled label on the price axis."""
    made = note(theme, view.price(view.answer.last_close), 1.0, view.answer.last_close)
    made |= {"yref": "y", "xanchor": "left", "yanchor": "middle", "bgcolor": theme.ink, "borderpad": 2}
    return made | {"name": "last price", "font": {"size": 12, "color": theme.paper}}


def _band_notes(view: View, low: float, high: float, theme: Theme) -> list[Json]:
    """Return the level labels right of the last step, at the upper edge of their bands."""
    x = band_label_x(view)
    return [
        note(theme, f"{level}%", x, height) | {"xref": "x", "yref": "y", "xanchor": "left", "yanchor": "middle"}
        for level, height in band_labels(view, low, high)
    ]
