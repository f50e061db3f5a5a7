"""The skill figure: forecasters vs the random walk, losses as visible as gains, measured vs nominal coverage."""

from typing import Any

import plotly.graph_objects as go
import pytest

from service.api.accuracy.schemas import AccuracyItem
from service.charts.chart import Chart
from service.charts.skill.figure import skill_chart
from service.charts.theme import LIGHT
from tests.support.answer_factory import answer, record


def drawn(items: list[AccuracyItem]) -> Chart:
    chart = skill_chart(answer(), items, "multi_step", LIGHT)
    go.Figure(data=chart.figure["data"], layout=chart.figure["layout"])
    return chart


def ratios(chart: Chart) -> dict[str, dict[str, Any]]:
    return {t["meta"]["forecaster"]: t for t in chart.figure["data"] if t["meta"]["role"] == "ratio"}


MIXED = [
    record("lstm", 1, -0.03, p=0.01),
    record("random_walk", 1, 0.0, p=None),
    record("served", 1, 0.02, p=0.04),
    record("served", 2, -0.05, n=200, p=0.3),
    record("served", 3, None, n=40, p=None),
]


def test_ratios_are_drawn_by_step_and_the_random_walk_is_the_line() -> None:
    found = ratios(drawn(MIXED))
    assert list(found) == ["served", "lstm"]
    assert found["served"]["y"] == pytest.approx([0.98, 1.05])
    assert found["served"]["x"] == [0, 1]
    assert found["lstm"]["y"] == pytest.approx([1.03])
    assert found["served"]["meta"]["n"] == [252, 200]


def test_only_significant_marks_are_filled() -> None:
    found = ratios(drawn(MIXED))
    assert found["served"]["marker"]["symbol"] == ["circle", "circle-open"]
    assert found["lstm"]["marker"]["symbol"] == ["square"]


def test_the_ratio_axis_is_symmetric() -> None:
    layout = drawn(MIXED).figure["layout"]
    assert layout["yaxis"]["range"] == pytest.approx([0.935, 1.065])  # 1.3 times the farthest, 1.05, on both sides
    notes = [note["text"] for note in layout["annotations"]]
    assert "worse than the random walk ▲" in notes
    assert "better than the random walk ▼" in notes


def test_measured_and_nominal_coverage_are_drawn() -> None:
    markers = {t["meta"]["level"]: t for t in drawn(MIXED).figure["data"] if t["meta"]["role"] == "coverage"}
    assert markers[80]["y"] == pytest.approx([77.0, 77.0])  # the third step has only 40 sessions
    lines = {t["meta"]["level"]: t["y"] for t in drawn(MIXED).figure["data"] if t["meta"]["role"] == "nominal"}
    assert lines == {50: [50, 50], 80: [80, 80], 95: [95, 95]}


def test_the_caption_has_ratios_with_n_and_p() -> None:
    assert drawn(MIXED).caption == (
        "On n = 200 scored sessions up to 2018-06-01, published forecasts vs the random walk: 2.0 % better "
        "at T (p 0.04) and −5.0 % at T+1 (p 0.3, not significant). The 80 % interval contained 77 % of the closes of "
        "T, the step farthest from nominal. Measured on replay forecasts."
    )


def test_a_difference_without_p_is_not_significant() -> None:
    chart = drawn([record("served", 1, 0.02, p=None)])
    assert chart.table.rows[0][3:6] == ("+2.0 %, not significant", 252, None)
    assert "+2.0 % at T (no p, not significant)" in chart.caption


def test_the_random_walk_served_is_named() -> None:
    caption = drawn([record("served", 1, 0.0, p=None)]).caption
    assert caption.startswith("Published forecasts up to 2018-06-01 are from the random walk itself (n = 252).")


def test_a_short_record_has_no_figures() -> None:
    chart = drawn([record("served", 1, None, n=12, p=None)])
    assert chart.caption == "Not enough history yet (12 of 60 scored sessions)."
    assert ratios(chart)["served"]["y"] == []
    assert chart.table.rows == (("served", "T", None, "not enough history yet (12 of 60)", 12, None, None, None, None),)
    assert drawn([]).caption == "Not enough history yet (0 of 60 scored sessions)."


def test_the_table_and_readout_name_every_forecaster() -> None:
    chart = drawn(MIXED)
    assert chart.table.rows[0] == ("served", "T", "0.980", "2.0 % better", 252, "0.04", "51 %", "77 %", "94 %")
    assert chart.table.rows[1][:4] == ("served", "T+1", "1.050", "−5.0 %, not significant")
    assert chart.table.rows[3][:4] == ("lstm", "T", "1.030", "3.0 % worse")
    assert chart.readout[0].text == "T · served 0.980 (n 252, p 0.04) · lstm 1.030 (n 252, p 0.01)"
    assert chart.readout[2].text == "T+2 · not enough history yet"
