"""Past intervals of T on the main figure: in prices, behind their candles, hits and misses marked."""

from datetime import date, timedelta
from typing import Any

import plotly.graph_objects as go
import pytest

from service.charts.chart import Chart
from service.charts.forecast import forecast_chart
from service.charts.past_intervals import PastInterval
from service.charts.theme import LIGHT
from tests.support.answer_factory import AS_OF, CLOSED, answer, bar, bars

# The fixture's 21 sessions end on Friday 2018-06-01; the last four are 29, 30 and 31 May, and 1 June.
PAST = (
    PastInterval(date(2018, 5, 29), 98.0, 100.0, 102.0, True),
    PastInterval(date(2018, 5, 30), 101.0, 102.0, 103.0, False),
    PastInterval(date(2018, 5, 31), 97.0, 99.0, 101.0, None),
    PastInterval(date(2018, 6, 1), 99.5, 100.5, 101.5, True),
)


def drawn(past: tuple[PastInterval, ...] = PAST) -> Chart:
    chart = forecast_chart(answer(), bars(), "multi_step", LIGHT, past)
    assert chart is not None
    go.Figure(data=chart.figure["data"], layout=chart.figure["layout"])
    return chart


def role(chart: Chart, name: str) -> dict[str, Any]:
    (found,) = [trace for trace in chart.figure["data"] if trace["meta"]["role"] == name]
    return found


def test_each_interval_is_behind_the_candle_of_its_session() -> None:
    columns = role(drawn(), "past80")
    assert columns["x"] == [17, 18, 19, 20]
    assert columns["base"] == [98.0, 101.0, 97.0, 99.5]
    assert columns["y"] == pytest.approx([4.0, 2.0, 4.0, 2.0])


def test_hits_and_misses_are_marked_at_the_close_by_shape_and_colour() -> None:
    chart = drawn()
    hits, misses = role(chart, "hits"), role(chart, "misses")
    assert (hits["x"], hits["y"]) == ([17, 20], [100.0, 100.0])
    assert (misses["x"], misses["y"]) == ([18], [100.0])
    assert (hits["marker"]["symbol"], misses["marker"]["symbol"]) == ("circle", "x")
    assert (hits["name"], misses["name"]) == ("close inside (2)", "close outside (1)")


def test_the_texts_count_the_scored_ones() -> None:
    chart = drawn()
    words = "In this range, 2 of 3 closes are inside the 80 % interval of T."
    assert words in chart.caption
    assert words in chart.alt
    assert chart.readout[18].text.endswith("· forecast 102.00, 80 % 101.00 to 103.00, outside")
    assert chart.readout[19].text.endswith("· forecast 99.00, 80 % 97.00 to 101.00")


def test_the_price_axis_reaches_every_interval() -> None:
    low, high = drawn((PastInterval(AS_OF, 70.0, 100.0, 140.0, True),)).figure["layout"]["yaxis"]["range"]
    assert low < 70.0
    assert high > 140.0


def test_an_interval_without_a_candle_is_left_out() -> None:
    roles = [trace["meta"]["role"] for trace in drawn((PastInterval(CLOSED, 98.0, 100.0, 102.0, True),)).figure["data"]]
    assert not {"past80", "hits", "misses"} & set(roles)


def test_candles_of_several_sessions_have_no_intervals() -> None:
    long = [bar(AS_OF - timedelta(days=number), 100.0) for number in range(500)]
    chart = forecast_chart(answer(), long, "multi_step", LIGHT, PAST)
    assert chart is not None
    assert "past80" not in [trace["meta"]["role"] for trace in chart.figure["data"]]
    assert "In this range" not in chart.caption
