"""The versus figure: intervals as a band, closes inside as circles, outside as crosses, void ones marked."""

from datetime import date, timedelta
from typing import Any

import plotly.graph_objects as go
import pytest

from service.charts.chart import Chart
from service.charts.forecast_vs_actual import versus_chart
from service.charts.theme import LIGHT
from tests.support.answer_factory import Made, Past, answer, past

FIRST = date(2018, 1, 2)


def days(count: int) -> list[date]:
    return [FIRST + timedelta(days=number) for number in range(count)]


def drawn(rows: list[Past]) -> Chart:
    chart = versus_chart(answer(), past(rows), "multi_step", 1, LIGHT)
    go.Figure(data=chart.figure["data"], layout=chart.figure["layout"])
    return chart


def role(chart: Chart, name: str) -> dict[str, Any]:
    (found,) = [trace for trace in chart.figure["data"] if trace["meta"]["role"] == name]
    return found


def test_closes_inside_and_outside_have_different_marks() -> None:
    one, two, three = days(3)
    chart = drawn([Past(one, 0.01), Past(two, 0.05, inside=False), Past(three, -0.01)])
    assert (role(chart, "inside")["x"], role(chart, "missed")["x"]) == ([0, 2], [1])
    assert role(chart, "inside")["y"] == pytest.approx([1.005017, -0.995017])  # 100 (exp(r) - 1)
    assert role(chart, "missed")["y"] == pytest.approx([5.127110])
    assert (role(chart, "inside")["marker"]["symbol"], role(chart, "missed")["marker"]["symbol"]) == ("circle", "x")
    assert role(chart, "band80")["y"] == pytest.approx([2.020134] * 3)
    assert role(chart, "lower80")["y"] == pytest.approx([-1.980133] * 3)
    assert role(chart, "band80")["fill"] == "tonexty"


def test_the_last_60_scored_sessions_are_shown_with_void_ones_between() -> None:
    rows = [Past(day, inside=place % 5 != 0) for place, day in enumerate(days(80))]
    rows[70] = Past(rows[70].target, None, "void", None, reason="no bar of 2018-01-03")
    chart = drawn(rows)
    assert len(role(chart, "band80")["x"]) == 61
    assert chart.readout[0].text.startswith("2018-01-21")
    assert chart.caption == (
        "49 of the last 60 closes of T are inside the 80 % interval (82 %, nominal 80 %). 1 is void without a "
        "close, and not counted."
    )
    assert role(chart, "void")["x"] == [51]
    assert chart.readout[51].text.endswith("void: no bar of 2018-01-03")


def test_pending_and_superseded_ones_are_left_out() -> None:
    one, two, three = days(3)
    chart = drawn([Past(one), Past(two, superseded=True), Past(three, None, "pending", None)])
    assert [row[0] for row in chart.table.rows] == ["2018-01-02"]


def test_a_short_track_record_is_reported() -> None:
    rows = [Past(day, inside=place != 0) for place, day in enumerate(days(12))]
    assert drawn(rows).caption == (
        "Not enough history yet (12 of 60 scored sessions). So far 11 of 12 closes of T are inside the 80 % interval."
    )


def test_without_scores_the_figure_is_empty_and_says_why() -> None:
    chart = drawn([])
    assert chart.caption == "Not enough history yet (0 of 60 scored sessions)."
    assert "no scored forecast yet" in [note["text"] for note in chart.figure["layout"]["annotations"]]
    assert chart.table.rows == ()
    assert chart.alt == "No forecast of T for AAPL is scored yet."


def test_a_step_outside_the_strategy_is_reported() -> None:
    chart = versus_chart(answer(), [], "one_step", 2, LIGHT)
    assert chart.caption == chart.alt == "The one-step strategy forecasts T only, not T+1."
    assert "not forecast" in [note["text"] for note in chart.figure["layout"]["annotations"]]


def test_backfill_forecasts_are_named_in_the_caption() -> None:
    rows = past([Past(day) for day in days(60)])
    caption = versus_chart(answer(Made(mode="backfill")), rows, "multi_step", 1, LIGHT).caption
    assert caption.endswith("(100 %, nominal 80 %). Measured on backfill forecasts.")


def test_the_text_alternative_lists_sessions_outside() -> None:
    one, two = days(2)
    assert "1 inside, 1 outside (2018-01-03), 0 void." in drawn([Past(one), Past(two, 0.05, inside=False)]).alt
