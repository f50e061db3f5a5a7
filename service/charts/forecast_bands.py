"""Traces of the forecast zone: bands, median, the other strategy's T, the random walk, and actual closes."""

from collections.abc import Sequence

from service.api.forecasts.schemas import Step
from service.charts.chart import Json
from service.charts.forecast_view import LEVELS, View, bounds
from service.charts.theme import Theme

_LABEL_GAP = 0.045
"""Least distance between band labels, as a share of the price axis."""


def fan(view: View, theme: Theme) -> list[Json]:
    """Return every trace right of the last candle, widest band first."""
    traces = [_band(view, level, theme) for level in LEVELS]
    if view.walk:
        traces += [_walk_outline(view, theme), _walk_median(view, theme)]
    traces.append(_median(view, theme))
    if view.other is not None:
        traces.append(_other_strategy(view, view.other, theme))
    closed = [step for step in view.main.steps if view.outcome(step) is not None]
    if closed:
        traces.append(_outcome(view, closed, theme))
    return traces


def as_of_line(view: View, low: float, high: float, theme: Theme) -> Json:
    """Return the vertical line at as_of, over the whole price axis."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "as of",
        "x": [view.zone.start, view.zone.start],
        "y": [low, high],
        "line": {"color": theme.text, "width": 1, "dash": "dash"},
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": {"role": "as_of", "session": str(view.answer.as_of)},
    }


def prices(view: View) -> list[float]:
    """Return every price that the figure shows."""
    steps = [*view.main.steps, *view.walk]
    found = [price for slot in view.slots for price in (slot.low, slot.high)]
    found += [price for step in view.main.steps for price in bounds(step, 95)]
    found += [price for step in view.walk for price in bounds(step, 80)]
    found += [step.point for step in steps]
    found += view.past.prices
    if view.other is not None:
        found += [view.other.point, *bounds(view.other, 80)]
    found += [price for step in view.main.steps if (price := view.outcome(step)) is not None]
    return [*found, view.answer.last_close]


def band_label_x(view: View) -> float:
    """Return the start of the band labels: right of the last step."""
    return view.zone.at(len(view.main.steps)) + 0.1 * view.zone.step_width


def band_labels(view: View, low: float, high: float) -> list[tuple[int, float]]:
    """Return level and height of each band's label, moved apart if the bands are close together."""
    last = view.main.steps[-1]
    gap = _LABEL_GAP * (high - low)
    placed: list[tuple[int, float]] = []
    for level in reversed(LEVELS):
        height = bounds(last, level)[1]
        if placed:
            height = max(height, placed[-1][1] + gap)
        placed.append((level, height))
    # Plotly does not draw a label outside the axis.
    beyond = max(0.0, placed[-1][1] - high)
    return [(level, height - beyond) for level, height in placed]


def _band(view: View, level: int, theme: Theme) -> Json:
    """Return a polygon that starts at as_of's close."""
    x, edges = _x(view), [bounds(step, level) for step in view.main.steps]
    close = view.answer.last_close
    lower = [close, *(low for low, _ in edges)]
    upper = [close, *(high for _, high in edges)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{level} % interval",
        "x": x + x[::-1],
        "y": upper + lower[::-1],
        "fill": "toself",
        "fillcolor": theme.band(level),
        "line": {"width": 0, "color": theme.band(level)},
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": {"role": f"band{level}", "level": level, "strategy": view.strategy},
    }


def _median(view: View, theme: Theme) -> Json:
    steps = view.main.steps
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "median",
        "x": _x(view),
        "y": [view.answer.last_close, *(step.point for step in steps)],
        "line": {"color": theme.median, "width": 2, "dash": "dash"},
        "marker": {"size": [0, *([7] * len(steps))], "color": theme.median, "opacity": 1, "line": {"width": 0}},
        "hoverinfo": "none",
        "meta": {"role": "median", "strategy": view.strategy, "served_by": view.main.served_by.forecaster},
    }


def _other_strategy(view: View, step: Step, theme: Theme) -> Json:
    """Return the other strategy's T with its 80 % bar, on T."""
    low, high = bounds(step, 80)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{view.other_name}, 80 %",
        "x": [view.zone.at(1)],
        "y": [step.point],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - step.point],
            "arrayminus": [step.point - low],
            "color": theme.accent,
            "thickness": 2,
            "width": 4,
        },
        "marker": {"symbol": "diamond-open", "size": 13, "color": theme.accent, "line": {"width": 2}},
        "hoverinfo": "none",
        "meta": {"role": "one_step" if view.strategy == "multi_step" else "multi_step", "lower": low, "upper": high},
    }


def _walk_outline(view: View, theme: Theme) -> Json:
    x, edges = _x(view, view.walk), [bounds(step, 80) for step in view.walk]
    close = view.answer.last_close
    lower = [close, *(low for low, _ in edges)]
    upper = [close, *(high for _, high in edges)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "random walk, 80 %",
        "x": x[::-1] + x[1:],
        "y": lower[::-1] + upper[1:],
        "line": {"color": theme.walk, "width": 1.5, "dash": "dot"},
        "showlegend": False,
        "legendgroup": "random walk",
        "hoverinfo": "skip",
        "meta": {"role": "random_walk", "part": "band80"},
    }


def _walk_median(view: View, theme: Theme) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "random walk, 80 %",
        "x": _x(view, view.walk),
        "y": [view.answer.last_close, *(step.point for step in view.walk)],
        "line": {"color": theme.walk, "width": 1.5, "dash": "dot"},
        "marker": {"symbol": "line-ew-open", "size": [0, *([9] * len(view.walk))], "color": theme.walk, "opacity": 1},
        "legendgroup": "random walk",
        "hoverinfo": "skip",
        "meta": {"role": "random_walk", "part": "median"},
    }


def _outcome(view: View, closed: Sequence[Step], theme: Theme) -> Json:
    closes = [view.outcomes[step.target_session] for step in closed]
    inside = [low <= close <= high for close, (low, high) in zip(closes, (bounds(s, 80) for s in closed), strict=True)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "actual close",
        "x": [view.slots_end, *(view.zone.at(step.step) for step in closed)],
        "y": [view.answer.last_close, *closes],
        "line": {"color": theme.ink, "width": 2},
        "marker": {
            "symbol": ["circle", *("circle" if is_inside else "x" for is_inside in inside)],
            "size": [0, *([10] * len(closed))],
            "color": theme.ink,
            "opacity": 1,
            "line": {"width": 1.5, "color": theme.paper},
        },
        "hoverinfo": "none",
        "meta": {"role": "outcome", "sessions": [str(step.target_session) for step in closed], "inside_80": inside},
    }


def _x(view: View, steps: Sequence[Step] | None = None) -> list[float]:
    """Return the positions of as_of's close and the steps."""
    chosen = view.main.steps if steps is None else steps
    return [view.slots_end, *(view.zone.at(step.step) for step in chosen)]
