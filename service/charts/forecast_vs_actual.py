"""The versus figure: the last scored forecasts of a step with intervals and actual closes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.api.common.schemas import Strategy
from service.api.forecasts.schemas import LABELS, MIN_SESSIONS, ForecastAnswer
from service.api.history.schemas import PastForecast
from service.charts.axis import ticks
from service.charts.chart import Chart, Json, Line, Table, figure, not_enough_history
from service.charts.numbers import change_text, share_text
from service.charts.record_text import mode_sentence
from service.charts.theme import Theme, layout, note

SESSIONS = 60
"""Scored sessions that the figure shows."""


@dataclass(frozen=True, slots=True)
class _PastForecasts:
    """The forecasts of the figure: scored and void, oldest first, in percent of as_of's close."""

    answer: ForecastAnswer
    strategy: Strategy
    step: int
    past: Sequence[PastForecast]

    @property
    def label(self) -> str:
        return LABELS[self.step - 1]

    @property
    def scored(self) -> list[tuple[int, PastForecast, float]]:
        """Position, forecast and actual simple return of each scored one."""
        return [
            (place, item, math.expm1(item.outcome.actual))
            for place, item in enumerate(self.past)
            if item.outcome.state == "scored" and item.outcome.actual is not None
        ]

    @property
    def void(self) -> list[tuple[int, PastForecast]]:
        return [(place, item) for place, item in enumerate(self.past) if item.outcome.state == "void"]

    @property
    def has_step(self) -> bool:
        """Whether the strategy has this step."""
        return self.strategy == "multi_step" or self.step == 1

    @property
    def inside(self) -> int:
        return sum(bool(item.outcome.inside_80) for _, item, _ in self.scored)


def versus_chart(
    answer: ForecastAnswer, past: Sequence[PastForecast], strategy: Strategy, step: int, theme: Theme
) -> Chart:
    """Return the figure of a step's forecasts and actual closes.

    The 80 % interval of each forecast is a band, a close inside is a circle, one outside a cross.

    Args:
        answer: Answer of the forecast route.
        past: Published forecasts of this strategy and step, newest first; pending and superseded ones are left out.
        strategy: The strategy.
        step: 1, 2 or 3.
        theme: Colours.
    """
    view = _PastForecasts(answer, strategy, step, _newest(past))
    return Chart(
        title=f"{answer.symbol}: {view.label} forecast vs actual",
        caption=_caption(view),
        alt=_alt(view),
        table=_table(view),
        readout=[Line(place, _text(item)) for place, item in enumerate(view.past)],
        figure=figure(_traces(view, theme), _layout(view, theme)),
        empty=not view.past,
    )


def _newest(past: Sequence[PastForecast]) -> list[PastForecast]:
    """Return the newest scored forecasts, with the void ones between them, oldest first."""
    kept: list[PastForecast] = []
    scored = 0
    for item in past:
        if item.superseded or item.outcome.state == "pending":
            continue
        kept.append(item)
        scored += item.outcome.state == "scored"
        if scored == SESSIONS:
            break
    return kept[::-1]


def _traces(view: _PastForecasts, theme: Theme) -> list[Json]:
    x = list(range(len(view.past)))
    lower = [100 * math.expm1(item.quantiles.q10) for item in view.past]
    upper = [100 * math.expm1(item.quantiles.q90) for item in view.past]
    median = [100 * math.expm1(item.quantiles.q50) for item in view.past]
    edge = {"width": 0, "color": theme.band80, "shape": "hvh"}
    plain: Json = {"type": "scatter", "mode": "lines", "hoverinfo": "none", "x": x}
    inside = [(place, actual) for place, item, actual in view.scored if item.outcome.inside_80]
    outside = [(place, actual) for place, item, actual in view.scored if not item.outcome.inside_80]
    return [
        {**plain, "name": "80 % from", "y": lower, "line": edge, "showlegend": False, "meta": {"role": "lower80"}},
        {
            **plain,
            "name": "80 % interval",
            "y": upper,
            "line": edge,
            "fill": "tonexty",
            "fillcolor": theme.band80,
            "meta": {"role": "band80", "level": 80},
        },
        {
            **plain,
            "name": "median",
            "y": median,
            "line": {"width": 1.5, "color": theme.median, "dash": "dash", "shape": "hvh"},
            "meta": {"role": "median"},
        },
        _marks(f"inside ({len(inside)})", inside, "circle", theme.ink) | {"meta": {"role": "inside"}},
        _marks(f"outside ({len(outside)})", outside, "x", theme.accent) | {"meta": {"role": "missed"}},
        _void(view, theme),
    ]


def _marks(name: str, points: Sequence[tuple[int, float]], symbol: str, colour: str) -> Json:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [place for place, _ in points],
        "y": [100 * actual for _, actual in points],
        "marker": {"symbol": symbol, "size": 6 if symbol == "circle" else 9, "color": colour, "line": {"width": 0}},
        "hoverinfo": "none",
        "showlegend": True,
    }


def _void(view: _PastForecasts, theme: Theme) -> Json:
    """Return forecasts without a close: on the line of no change, hollow."""
    marker = {"symbol": "square-open", "size": 7, "color": theme.text}
    made = _marks(f"void ({len(view.void)})", [(place, 0.0) for place, _ in view.void], "square-open", theme.text)
    return made | {"marker": marker, "showlegend": bool(view.void), "meta": {"role": "void"}}


def _layout(view: _PastForecasts, theme: Theme) -> Json:
    made = layout(theme)
    places, texts = ticks([item.target_session for item in view.past])
    made["xaxis"] |= {
        "type": "linear",
        "range": [-0.7, max(1, len(view.past)) - 0.3],
        "tickmode": "array",
        "tickvals": places,
        "ticktext": texts,
    }
    made["yaxis"] |= {"ticksuffix": " %", "nticks": 6, "zeroline": True, "zerolinecolor": theme.text}
    unit = note(theme, "change from as_of's close", 1.0, 1.0)
    made["annotations"] = [unit | {"xanchor": "right", "yanchor": "bottom"}]
    if not view.past:
        made["annotations"].append(note(theme, "no scored forecast yet" if view.has_step else "not forecast", 0.5, 0.5))
    made["meta"] = {"step": view.step, "strategy": view.strategy, "sessions": len(view.scored)}
    return made


def _caption(view: _PastForecasts) -> str:
    n, inside = len(view.scored), view.inside
    void = len(view.void)
    sentences = []
    if not view.has_step:
        return f"The one-step strategy forecasts T only, not {view.label}."
    if n < MIN_SESSIONS:
        sentences.append(not_enough_history(n))
        if n:
            sentences.append(f"So far {inside} of {n} closes of {view.label} are inside the 80 % interval.")
    else:
        sentences.append(
            f"{inside} of the last {n} closes of {view.label} are inside the 80 % interval "
            f"({share_text(inside / n)}, nominal 80 %)."
        )
    if void:
        sentences.append(f"{void} {'is' if void == 1 else 'are'} void without a close, and not counted.")
    if n and view.answer.mode == "backfill":
        sentences.append(mode_sentence(view.answer.mode))
    return " ".join(sentences)


def _alt(view: _PastForecasts) -> str:
    if not view.has_step:
        return _caption(view)
    if not view.past:
        return f"No forecast of {view.label} for {view.answer.symbol} is scored yet."
    outside = [str(item.target_session) for _, item, _ in view.scored if not item.outcome.inside_80]
    named = f" ({', '.join(outside)})" if outside else ""
    span = f"{view.past[0].target_session} to {view.past[-1].target_session}"
    return (
        f"The 80 % interval of {view.label} for {view.answer.symbol}, sessions {span}, with the actual close: "
        f"{view.inside} inside, {len(outside)} outside{named}, {len(view.void)} void."
    )


def _table(view: _PastForecasts) -> Table:
    columns = ("session", "as of", "80 % from", "median", "80 % to", "actual", "inside 80 %", "forecaster")
    rows = tuple(
        (
            str(item.target_session),
            str(item.as_of),
            change_text(math.expm1(item.quantiles.q10)),
            change_text(math.expm1(item.quantiles.q50)),
            change_text(math.expm1(item.quantiles.q90)),
            None if item.outcome.actual is None else change_text(math.expm1(item.outcome.actual)),
            _verdict(item),
            item.forecaster,
        )
        for item in reversed(view.past)
    )
    return Table(f"{view.answer.symbol}: {view.label}, change from as_of's close, newest first", columns, rows)


def _verdict(item: PastForecast) -> str:
    if item.outcome.state == "void":
        return f"void: {item.outcome.reason}" if item.outcome.reason else "void"
    return "yes" if item.outcome.inside_80 else "no"


def _text(item: PastForecast) -> str:
    low, high = (change_text(math.expm1(value)) for value in (item.quantiles.q10, item.quantiles.q90))
    start = f"{item.target_session} · as of {item.as_of} · 80 % {low} to {high}"
    if item.outcome.state == "void":
        return f"{start} · void{f': {item.outcome.reason}' if item.outcome.reason else ''}"
    actual = math.expm1(item.outcome.actual or 0.0)
    return f"{start} · actual {change_text(actual)}, {'inside' if item.outcome.inside_80 else 'outside'}"
