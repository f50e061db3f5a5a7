"""The skill figure: each forecaster's loss relative to the random walk's, and measured coverage."""

from collections.abc import Sequence

from service.api.accuracy.schemas import AccuracyItem
from service.api.common.schemas import Strategy
from service.api.forecasts.schemas import LABELS, MIN_SESSIONS, ForecastAnswer
from service.charts.chart import Chart, Json, figure
from service.charts.skill.record import Record, records_of
from service.charts.skill.text import alt, caption, readout, table
from service.charts.theme import Theme, layout, note
from service.vocabulary import RANDOM_WALK, SERVED

_MARKS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_MIN_REACH = 0.02
"""Smallest half height of the ratio axis: differences below rounding must look small."""

_PANELS = ((0.0, 0.54), (0.68, 1.0))
"""The two panels as shares of the width; the labels of the right one are between them."""


def skill_chart(answer: ForecastAnswer, items: Sequence[AccuracyItem], strategy: Strategy, theme: Theme) -> Chart:
    """Return pinball ratios to the random walk by step, and the coverage of published forecasts.

    Args:
        answer: Answer of the forecast route.
        items: The symbol's track records of this strategy and the answer's mode.
        strategy: The strategy.
        theme: Colours.
    """
    records = records_of(items)
    steps = 3 if strategy == "multi_step" else 1
    return Chart(
        title=f"{answer.symbol}: skill vs the random walk",
        caption=caption(records, answer),
        alt=alt(records, answer),
        table=table(records, answer),
        readout=readout(records, steps),
        figure=figure(_traces(records, steps, theme), _layout(records, steps, theme)),
        empty=all(record.ratio is None for record in records),
    )


def _traces(records: Sequence[Record], steps: int, theme: Theme) -> list[Json]:
    names = dict.fromkeys(record.item.forecaster for record in records)
    drawn = [name for name in names if name != RANDOM_WALK]
    traces = [_ratios(name, place, records, theme) for place, name in enumerate(drawn)]
    traces.append(_walk_line(steps, theme))
    for level in (50, 80, 95):
        traces += _coverage(level, records, steps, theme)
    return traces


def _ratios(name: str, place: int, records: Sequence[Record], theme: Theme) -> Json:
    own = [record for record in records if record.item.forecaster == name and record.ratio is not None]
    mark, colour = _MARKS[place % len(_MARKS)], theme.others[place % len(theme.others)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        # Shifted sideways: the served forecaster often equals one of the others.
        "x": [record.item.step - 1 + 0.05 * place for record in own],
        "y": [record.ratio for record in own],
        "line": {"color": colour, "width": 1.5, "dash": "solid" if name == SERVED else "dot"},
        "marker": {
            "symbol": [mark if record.is_significant else f"{mark}-open" for record in own],
            "size": 10,
            "color": colour,
            "line": {"width": 2, "color": colour},
        },
        "showlegend": True,
        "hoverinfo": "none",
        "meta": {"role": "ratio", "forecaster": name, "n": [record.item.n for record in own]},
    }


def _walk_line(steps: int, theme: Theme) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "random walk",
        "x": [-0.4, steps - 0.5],
        "y": [1.0, 1.0],
        "line": {"color": theme.walk, "width": 2, "dash": "dash"},
        "hoverinfo": "skip",
        "meta": {"role": "random_walk"},
    }


def _coverage(level: int, records: Sequence[Record], steps: int, theme: Theme) -> list[Json]:
    """Return the nominal level as a line, the measured coverage of published forecasts as marks."""
    own = [record.item for record in records if record.item.forecaster == SERVED and record.item.n >= MIN_SESSIONS]
    common: Json = {"type": "scatter", "xaxis": "x2", "yaxis": "y2"}
    nominal = common | {
        "mode": "lines",
        "name": f"nominal {level} %",
        "x": [-0.4, steps - 0.5],
        "y": [level, level],
        "line": {"color": theme.walk, "width": 1.5, "dash": "dash"},
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": {"role": "nominal", "level": level},
    }
    measured = common | {
        "mode": "markers",
        "name": f"measured {level} %",
        "x": [item.step - 1 for item in own],
        "y": [100 * getattr(item, f"coverage_{level}") for item in own],
        "marker": {"symbol": "circle", "size": 9, "color": theme.others[0], "line": {"width": 0}},
        "showlegend": False,
        "hoverinfo": "none",
        "meta": {"role": "coverage", "level": level, "n": [item.n for item in own]},
    }
    return [nominal, measured]


def _layout(records: Sequence[Record], steps: int, theme: Theme) -> Json:
    made = layout(theme)
    ratios = [record.ratio for record in records if record.ratio is not None]
    reach = max([_MIN_REACH, *(1.3 * abs(ratio - 1) for ratio in ratios)])
    axis: Json = {
        "tickmode": "array",
        "tickvals": list(range(steps)),
        "ticktext": list(LABELS[:steps]),
        "range": [-0.4, steps - 0.5],
    }
    made["xaxis2"] = {**made["xaxis"], **axis, "domain": _PANELS[1], "anchor": "y2"}
    made["yaxis2"] = {**made["yaxis"], "side": "left", "anchor": "x2", "range": [30, 103]}
    made["yaxis2"] |= {
        "tickmode": "array",
        "tickvals": [50, 80, 95],
        "ticktext": ["50 %", "80 %", "95 %"],
        "showgrid": False,
    }
    made["xaxis"] |= {**axis, "domain": _PANELS[0]}
    made["yaxis"] |= {"side": "left", "range": [1 - reach, 1 + reach], "tickformat": ".3f", "nticks": 7}
    corner = {"xanchor": "right", "bgcolor": theme.paper}
    above = {"xanchor": "left", "yanchor": "bottom"}
    made["annotations"] = [
        note(theme, "worse than the random walk ▲", _PANELS[0][1], 0.99) | corner | {"yanchor": "top"},
        note(theme, "better than the random walk ▼", _PANELS[0][1], 0.01) | corner | {"yanchor": "bottom"},
        note(theme, "pinball ratio", 0.0, 1.0) | above,
        note(theme, "measured coverage", _PANELS[1][0], 1.0) | above,
    ]
    if not ratios:
        middle = (_PANELS[0][0] + _PANELS[0][1]) / 2
        made["annotations"].append(note(theme, "not enough history yet", middle, 0.5) | {"yshift": 14})
    made["meta"] = {"reach": reach}
    return made
