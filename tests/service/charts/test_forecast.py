"""The forecast figure: nested bands in their own zone, candles without closed days, and actual closes."""

from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
import pytest

from service.charts.chart import Chart
from service.charts.forecast import forecast_chart
from service.charts.theme import DARK, LIGHT
from tests.support.answer_factory import TARGETS, Made, answer, bar, bars


def drawn(made: Made | None = None, came: list[float] | None = None, strategy: str = "multi_step") -> Chart:
    outcomes = [bar(day, close) for day, close in zip(TARGETS, came or [], strict=False)]
    chart = forecast_chart(answer(made), bars() + outcomes, strategy, LIGHT)
    assert chart is not None
    go.Figure(data=chart.figure["data"], layout=chart.figure["layout"])
    return chart


def role(chart: Chart, name: str, part: str | None = None) -> dict[str, Any]:
    (found,) = [
        trace
        for trace in chart.figure["data"]
        if trace["meta"]["role"] == name and part in (None, trace["meta"].get("part"))
    ]
    return found


def test_the_traces_have_their_roles() -> None:
    roles = [trace["meta"]["role"] for trace in drawn(came=[101.0]).figure["data"]]
    assert roles == [
        "volume", "candles", "band95", "band80", "band50", "random_walk", "random_walk", "median", "one_step",
        "outcome", "as_of",
    ]  # fmt: skip
    assert "outcome" not in [trace["meta"]["role"] for trace in drawn().figure["data"]]


def test_bands_are_nested_and_open_at_the_last_close() -> None:
    chart = drawn()
    # Upper edge from as_of to T+2, and back along the lower one.
    assert role(chart, "band95")["y"] == pytest.approx([100, 103, 106, 109, 91, 94, 97, 100])
    assert role(chart, "band80")["y"] == pytest.approx([100, 102, 104, 106, 94, 96, 98, 100])
    assert role(chart, "band50")["y"] == pytest.approx([100, 101, 102, 103, 97, 98, 99, 100])
    # 21 slots, a zone of 21 * 28 / 72 = 8.1667, so that steps are 2.3333 apart from 20.5 on.
    x = [20, 21.9, 24.23333, 26.56667]
    for level in (50, 80, 95):
        assert role(chart, f"band{level}")["x"] == pytest.approx([*x, *x[::-1]])


def test_the_zone_takes_between_20_and_30_percent() -> None:
    low, high = drawn().figure["layout"]["xaxis"]["range"]
    start, end = drawn().figure["layout"]["meta"]["zone"]
    assert end == high
    assert 0.2 < (end - start) / (high - low) < 0.3


def test_candles_have_one_slot_each_hollow_up_and_filled_down() -> None:
    candles = role(drawn(), "candles")
    assert candles["x"] == list(range(21))
    assert candles["increasing"]["fillcolor"] == "rgba(0,0,0,0)"
    assert candles["decreasing"]["fillcolor"] == LIGHT.ink
    assert candles["increasing"]["line"]["color"] == candles["decreasing"]["line"]["color"] == LIGHT.ink


def test_the_line_at_as_of_crosses_the_whole_price_axis() -> None:
    chart = drawn()
    line = role(chart, "as_of")
    assert line["x"] == [20.5, 20.5]
    assert line["y"] == chart.figure["layout"]["yaxis"]["range"]


def test_the_one_step_forecast_and_the_random_walk_are_drawn() -> None:
    chart = drawn()
    mark = role(chart, "one_step")
    assert mark["y"] == pytest.approx([100.1])
    assert mark["error_y"]["array"] == mark["error_y"]["arrayminus"] == pytest.approx([2.0])
    assert mark["x"] == pytest.approx([21.9])  # on T
    assert role(chart, "random_walk", "band80")["y"] == pytest.approx([91, 94, 97, 100, 103, 106, 109])
    assert role(chart, "random_walk", "median")["y"] == [100.0] * 4


def test_the_one_step_strategy_has_bands_of_t_only() -> None:
    chart = drawn(strategy="one_step")
    assert len(role(chart, "band80")["y"]) == 4
    assert role(chart, "multi_step")["y"] == [100.0]
    assert len(role(chart, "random_walk", "median")["y"]) == 2
    assert forecast_chart(answer(Made(strategies=("multi_step",))), bars(), "one_step", LIGHT) is None


def test_actual_closes_are_in_the_figure_and_the_texts() -> None:
    chart = drawn(came=[101.5, 104.5])
    outcome = role(chart, "outcome")
    assert outcome["y"] == [100.0, 101.5, 104.5]
    assert outcome["meta"]["inside_80"] == [True, False]
    assert outcome["marker"]["symbol"] == ["circle", "circle", "x"]
    assert "Of the 2 actual closes, 1 is inside the 80 % interval." in chart.caption
    assert [row[-2:] for row in chart.table.rows] == [("101.50", "yes"), ("104.50", "no"), (None, None)]


def test_the_caption_has_measured_and_nominal_coverage() -> None:
    assert drawn().caption == (
        "The 80 % interval of T contained the close on 79 % of sessions (measured on n = 252 up to "
        "2018-06-01). By pinball loss, the skill of published forecasts vs the random walk was +1.4 % (n = 252; "
        "not significant)."
    )


def test_the_caption_reports_a_losing_model_as_plainly() -> None:
    assert "vs the random walk was −2.3 % (n = 252; not significant)." in drawn(Made(skill=-0.023)).caption
    assert "By pinball loss, published forecasts were 2.3 % worse than the random walk (n = 252)." in (
        drawn(Made(skill=-0.023, p=0.049)).caption
    )
    assert "were 1.4 % better than the random walk (n = 252)." in drawn(Made(p=0.01)).caption
    assert "not significant" in drawn(Made(p=0.05)).caption
    assert "not significant" in drawn(Made(p=None)).caption
    walk = drawn(Made(skill=0.0, served="random_walk"))
    assert "The published forecast is the random walk itself." in walk.caption


def test_skill_of_earlier_forecasts_is_not_attributed_to_a_served_random_walk() -> None:
    caption = drawn(Made(skill=0.014, served="random_walk")).caption
    assert "The random walk made this forecast. By pinball loss, the skill of published forecasts" in caption


def test_the_caption_names_the_backfill_mode_of_a_track_record() -> None:
    assert drawn(Made(mode="backfill")).caption.endswith("not significant). Measured on backfill forecasts.")
    assert "mode" not in drawn(Made(mode="backfill", n=12, held=None, skill=None)).caption


def test_a_short_track_record_has_no_coverage_in_the_caption() -> None:
    assert drawn(Made(n=12, held=None, skill=None)).caption == "Not enough history yet (12 of 60 scored sessions)."


def test_the_readout_has_a_line_for_each_slot_and_step() -> None:
    lines = drawn().readout
    assert len(lines) == 24
    assert lines[20].text == (
        "2018-06-01 · open 100.00 · high 101.00 · low 99.00 · close 100.00 USD (0.0 %) · volume 1,000"
    )
    assert lines[21].x == pytest.approx(21.9)
    assert lines[21].text == (
        "2018-06-04 · T · 100.00 USD (0.0 %), 80 % 98.00 to 102.00 · 50 % 99.00 to 101.00 · 95 % 97.00 to 103.00 · "
        "random walk 100.00, 80 % 97.00 to 103.00 · one-step T 100.10, 80 % 98.10 to 102.10"
    )


def test_the_text_alternative_contains_the_numbers() -> None:
    alt = drawn().alt
    assert alt.startswith("Candles of AAPL from 2018-05-03 to 2018-06-01; last close 100.00 USD as of 2018-06-01.")
    assert "T+2 (2018-06-06) median 100.00, 80 % 94.00 to 106.00" in alt


def test_yen_have_no_decimals_on_axis_and_in_words() -> None:
    chart = forecast_chart(answer(Made(close=6500.0, currency="JPY")), bars(21, 6500.0), "multi_step", LIGHT)
    assert chart is not None
    assert chart.figure["layout"]["yaxis"]["tickformat"] == ",.0f"
    assert "close 6,500 JPY" in chart.readout[20].text


def test_after_a_split_the_candles_are_on_the_basis_of_the_forecast() -> None:
    chart = forecast_chart(answer(Made(ratio=4.0)), bars(21, 25.0), "multi_step", LIGHT)
    assert chart is not None
    assert role(chart, "candles")["close"] == [100.0] * 21
    assert chart.caption.endswith("AAPL was re-based since this forecast.")


def test_labels_of_narrow_bands_do_not_overlap() -> None:
    wide = [bar(TARGETS[0].replace(month=5, day=4), 400.0), *bars()]
    chart = forecast_chart(answer(), wide, "multi_step", LIGHT)
    assert chart is not None
    low, high = chart.figure["layout"]["yaxis"]["range"]
    heights = [note["y"] for note in chart.figure["layout"]["annotations"] if note["text"] in ("50%", "80%", "95%")]
    gaps = [above - below for below, above in pairwise(heights)]
    assert len(gaps) == 2
    assert min(gaps) >= 0.0449 * (high - low)


def test_band_labels_are_right_of_the_last_step() -> None:
    def left(chart: Chart) -> float:
        return min(note["x"] for note in chart.figure["layout"]["annotations"] if note["text"] == "80%")

    alone = drawn(strategy="one_step")
    # Steps are 8.1667 / 1.5 = 5.4444 apart: T at 20.5 + 0.6 of that, the labels 0.1 of it farther.
    assert role(alone, "multi_step")["x"] == pytest.approx([23.76667])
    assert left(alone) == pytest.approx(24.31111)
    assert left(drawn()) == pytest.approx(26.8)


def test_band_labels_stay_on_the_axis() -> None:
    low_before = [bar(TARGETS[0].replace(month=5, day=4), 5.0), *bars()]
    chart = forecast_chart(answer(Made(spread=(0.0001, 0.0002, 0.0003))), low_before, "multi_step", LIGHT)
    assert chart is not None
    heights = [note["y"] for note in chart.figure["layout"]["annotations"] if note["text"] in ("50%", "80%", "95%")]
    assert max(heights) <= chart.figure["layout"]["yaxis"]["range"][1]


def test_without_bars_only_the_last_close_is_drawn() -> None:
    chart = forecast_chart(answer(), [], "multi_step", DARK)
    assert chart is not None
    assert role(chart, "candles")["close"] == [100.0]
    assert chart.figure["layout"]["paper_bgcolor"] == DARK.paper


def test_the_last_price_is_labelled_on_the_price_axis() -> None:
    layout = drawn().figure["layout"]
    (tag,) = [each for each in layout["annotations"] if each.get("name") == "last price"]
    assert (tag["text"], tag["y"], tag["x"], tag["xref"]) == ("100.00", 100.0, 1.0, "paper")
    assert (layout["shapes"][0]["y0"], layout["shapes"][0]["y1"]) == (100.0, 100.0)


def test_volume_has_its_own_axis_below_the_prices() -> None:
    chart = drawn()
    assert role(chart, "volume")["y"] == [1000.0] * 21
    layout = chart.figure["layout"]
    assert layout["yaxis2"]["domain"][1] < layout["yaxis"]["domain"][0]


def test_without_volume_the_prices_have_the_whole_height() -> None:
    silent = [each.model_copy(update={"volume": None}) for each in bars()]
    chart = forecast_chart(answer(), silent, "multi_step", LIGHT)
    assert chart is not None
    assert "yaxis2" not in chart.figure["layout"]
    assert "volume" not in [trace["meta"]["role"] for trace in chart.figure["data"]]
    assert "volume" not in chart.readout[0].text


def test_the_sessions_can_be_zoomed_and_the_prices_not() -> None:
    layout = drawn().figure["layout"]
    assert (layout["dragmode"], layout["xaxis"]["fixedrange"], layout["yaxis"]["fixedrange"]) == ("zoom", False, True)
