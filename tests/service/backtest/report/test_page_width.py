"""The report's tables in a real browser: they fit a window of 1,200 pixels, and their columns are spelled out."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from service.backtest.report.document import make_report
from service.backtest.report.html import page
from service.backtest.report.reader import read_files
from tests.support.backtest_factory import Maker, simulate, write_backtest
from tests.support.dashboard.browser import open_browser

WIDTH = 1200
ABBREVIATIONS = re.compile(r"\b(bp|DM|PT|RMSE|MAE|PIT|p(?!-value))\b|^/")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a report with every kind of table, in a window of 1,200 pixels, all tables unfolded."""
    folder = tmp_path_factory.mktemp("width")
    strategies = ("one_step", "multi_step")
    makers = [
        *(Maker("random_walk", strategy, lookback=1) for strategy in strategies),
        *(Maker("conv3d_lstm_variational", strategy, refit=60, insight=0.1) for strategy in strategies),
        *(Maker("encoder_decoder", "multi_step", refit=60, lookback=days) for days in (1, 5, 20)),
        *(Maker("encoder_decoder", "multi_step", refit=60, seed=seed, insight=0.01 * seed) for seed in (0, 1, 2)),
        Maker("historical", "multi_step", width=0.7, raw_width=0.5, lookback=1),
    ]
    path = write_backtest(folder / "a.parquet", simulate(4, 130), makers)
    report = make_report(read_files([path]), ("a.parquet",), None, ("conv3d_lstm_variational", "encoder_decoder"))
    (folder / "report.html").write_text(page(report))
    with open_browser() as browser, browser.new_context(viewport={"width": WIDTH, "height": 900}) as context:
        opened = context.new_page()
        opened.goto((folder / "report.html").as_uri())
        opened.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true; })")
        yield opened


def test_every_table_fits(shown: Page) -> None:
    sizes = shown.eval_on_selector_all(
        ".wide", "all => all.map(each => [each.innerText.split('\\n')[0], each.scrollWidth, each.clientWidth])"
    )
    assert len(sizes) >= 12
    assert [size for size in sizes if size[1] > size[2]] == []
    assert shown.evaluate("document.documentElement.scrollWidth") <= WIDTH


def test_columns_are_spelled_out(shown: Page) -> None:
    heads = shown.eval_on_selector_all("thead th", "all => all.map(each => each.innerText)")
    assert "ratio to the random walk" in heads
    assert "Diebold-Mariano against the champion" in heads
    assert [head for head in heads if ABBREVIATIONS.search(head)] == []


def test_no_word_or_number_is_broken(shown: Page) -> None:
    broken = shown.eval_on_selector_all(
        "th, td", "all => all.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)"
    )
    assert broken == []
