"""The page: complete in one file, each plot with its text and its table."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from service.backtest.report.document import Report, make_report
from service.backtest.report.figures import build_plots
from service.backtest.report.html import page
from service.backtest.report.reader import read_files
from tests.support.backtest_factory import Maker, simulate, write_backtest

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Outline(HTMLParser):
    """The elements of a page, and a check that they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    makers = [
        Maker("random_walk", lookback=1),
        Maker("lstm", refit=60, insight=0.1),
        Maker("lstm", refit=60, lookback=1),
        Maker("<b>garch</b>", width=0.7),
    ]
    path = write_backtest(tmp_path_factory.mktemp("page") / "a.parquet", simulate(4, 130), makers)
    return make_report(read_files([path]), ("a.parquet",), None, ("lstm",))


@pytest.fixture(scope="module")
def text(report: Report) -> str:
    return page(report)


def outline(text: str) -> Outline:
    found = Outline()
    found.feed(text)
    assert found.open == []
    return found


def test_the_page_loads_no_other_file(text: str) -> None:
    assert get_plotlyjs() in text
    own = text.replace(get_plotlyjs(), "")
    for tag, attributes in outline(own).found:
        assert tag not in ("link", "img", "iframe", "base")
        assert not {"src", "href"} & set(attributes)
    assert "@import" not in own
    assert "url(" not in own


def test_each_plot_has_a_text_and_a_table(text: str, report: Report) -> None:
    own = text.replace(get_plotlyjs(), "")
    figures = re.findall(r"<figure .*?</figure>", own, re.DOTALL)
    assert len(figures) == len(build_plots(report.comparison_sets[0])) == 6
    for figure in figures:
        assert re.search(r'<div role="img" aria-labelledby="(plot-\d+-\d+-text)">', figure)
        sentence = re.search(r'<figcaption id="plot-\d+-\d+-text">(.+?)</figcaption>', figure)
        assert sentence is not None
        assert len(sentence[1]) > 40
        assert "<table>" in figure


def test_the_texts_describe_the_plots(report: Report) -> None:
    plots = {plot.title.split(": ")[1]: plot for plot in build_plots(report.comparison_sets[0])}
    assert set(plots) == {
        "pinball relative to the random walk",
        "coverage by step and tercile",
        "PIT histogram",
        "skill over time",
        "skill by model age",
        "lookbacks",
    }
    ratios = plots["pinball relative to the random walk"].text
    assert "Entirely below 1: lstm multi_step 5." in ratios
    assert "Entirely above 1: <b>garch</b> multi_step 5." in ratios
    assert "Largest difference -" in plots["coverage by step and tercile"].text
    assert "lstm multi_step 5 0 %" in plots["skill over time"].text


def test_plots_draw_the_figures_of_the_tables(report: Report) -> None:
    first = build_plots(report.comparison_sets[0])[0].figure
    ratios = [line.ratio["overall"].value for line in report.comparison_sets[0].leaderboard.lines]
    assert list(first.data[0].x) == ratios
    pit = build_plots(report.comparison_sets[0])[2].figure
    assert len(pit.data) == 4
    assert len(pit.data[0].x) == 8


def test_an_entry_has_one_colour_in_all_plots(report: Report) -> None:
    comparison, seen = report.comparison_sets[0], {}
    labels = {line.entry.label for line in comparison.leaderboard.lines}
    for plot in build_plots(comparison):
        for trace in plot.figure.data:
            if trace.name in labels:
                colour = trace.marker.color if trace.type == "bar" else trace.line.color
                seen.setdefault(trace.name, set()).add(colour)
    assert set(seen) == labels
    assert {len(colours) for colours in seen.values()} == {1}


def test_names_from_a_file_are_escaped(text: str) -> None:
    own = text.replace(get_plotlyjs(), "")
    assert "&lt;b&gt;garch&lt;/b&gt; multi_step 5" in own
    assert "b" not in {tag for tag, _ in outline(own).found}


def test_the_same_report_gives_the_same_page(text: str, report: Report) -> None:
    assert page(report) == text


def test_a_page_can_have_few_days(tmp_path: Path) -> None:
    path = write_backtest(tmp_path / "a.parquet", simulate(1, 9), [Maker("lstm")])
    short = page(make_report(read_files([path]), ("a.parquet",), None, ("lstm",))).replace(get_plotlyjs(), "")
    assert len(re.findall("<figure", short)) == 2
    assert "these rows cover 5 days" in short
    assert "nan" not in re.sub(r"<script.*?</script>", "", short, flags=re.DOTALL)
