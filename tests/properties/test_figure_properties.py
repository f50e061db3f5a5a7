"""Whatever the prices, a figure is finite, valid, JSON without NaN, and says each slot once."""

import json
from typing import Any

import plotly.graph_objects as go
from hypothesis import given, settings
from hypothesis import strategies as st

from service.charts.chart import Chart
from service.charts.forecast import forecast_chart
from service.charts.forecast_vs_actual import versus_chart
from service.charts.skill.figure import skill_chart
from service.charts.theme import THEMES
from tests.support.answer_factory import AS_OF, TARGETS, Made, Past, answer, bar, past, record, weekdays

PRICES = st.floats(1e-9, 1e9, allow_nan=False)
THEME = st.sampled_from(sorted(THEMES))


def numbers(value: Any) -> list[float]:
    """Every number anywhere in a JSON value."""
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, float | int) else []


def check(chart: Chart) -> None:
    text = json.dumps(chart.figure, allow_nan=False)
    assert all(abs(number) < 1e13 for number in numbers(json.loads(text)))
    go.Figure(data=chart.figure["data"], layout=chart.figure["layout"])
    assert all(len(row) == len(chart.table.columns) for row in chart.table.rows)
    places = [line.x for line in chart.readout]
    assert places == sorted(set(places))
    words = " ".join([chart.caption, chart.alt, *(line.text for line in chart.readout)])
    assert "nan" not in words
    assert "inf " not in words


@settings(max_examples=60, deadline=None)
@given(
    prices=st.lists(PRICES, min_size=0, max_size=60),
    close=PRICES,
    spread=st.tuples(*[st.floats(0, 0.9)] * 3),
    came=st.lists(PRICES, max_size=3),
    theme=THEME,
)
def test_any_prices_make_a_finite_forecast_figure(
    prices: list[float], close: float, spread: tuple[float, float, float], came: list[float], theme: str
) -> None:
    low, middle, high = sorted(spread)
    days = weekdays(AS_OF, len(prices))
    bars = [bar(day, price, reach=0.0) for day, price in zip(days, prices, strict=True)]
    bars += [bar(day, price) for day, price in zip(TARGETS, came, strict=False)]
    chart = forecast_chart(answer(Made(close=close, spread=(low, middle, high))), bars, "multi_step", THEMES[theme])
    assert chart is not None
    check(chart)
    start, end = chart.figure["layout"]["meta"]["zone"]
    first, last = chart.figure["layout"]["xaxis"]["range"]
    assert 0.2 < (end - start) / (last - first) < 0.3
    bottom, top = chart.figure["layout"]["yaxis"]["range"]
    priced = [trace for trace in chart.figure["data"] if trace["meta"]["role"] != "volume"]
    assert all(bottom <= y <= top for trace in priced for y in trace.get("y", trace.get("close")))


@settings(max_examples=40, deadline=None)
@given(
    actual=st.lists(st.one_of(st.none(), st.floats(-3, 3)), max_size=90),
    skills=st.lists(st.one_of(st.none(), st.floats(-5, 0.99)), max_size=3),
    n=st.integers(0, 252),
)
def test_any_record_makes_finite_figures(actual: list[float | None], skills: list[float | None], n: int) -> None:
    rows = [
        Past(day, value, "void" if value is None else "scored", None if value is None else abs(value) < 0.02)
        for day, value in zip(weekdays(AS_OF, len(actual)), actual, strict=True)
    ]
    check(versus_chart(answer(), past(rows), "multi_step", 1, THEMES["light"]))
    items = [record("served", number, skill, n) for number, skill in enumerate(skills, 1)]
    check(skill_chart(answer(), items, "multi_step", THEMES["dark"]))
