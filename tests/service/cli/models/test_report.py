"""`tplus report` from the command line."""

from pathlib import Path

import pytest

from tests.support.backtest_factory import Maker, simulate, write_backtest
from tests.support.command import CommandLine

MAKERS = [
    Maker("random_walk", lookback=1),
    Maker("lstm", refit=60, insight=0.1),
    Maker("lstm", "one_step", refit=60),
    Maker("garch", width=0.7),
]


@pytest.fixture
def command(tmp_path: Path) -> CommandLine:
    write_backtest(tmp_path / "a.parquet", simulate(3, 100), MAKERS)
    return CommandLine(tmp_path, {})


def test_the_leaderboard_is_printed_and_the_page_written(command: CommandLine, tmp_path: Path) -> None:
    answer = command.run("report", "a.parquet", "--out", "report.html")
    assert answer.status == 0, answer.error
    assert answer.out.startswith("2880 forecasts of 3 symbols with as_of from 2015-01-02 to 2015-05-15")
    for text in ("T, T+1, T+2: leaderboard", "T only: leaderboard", "lstm multi_step 5", "Disagreement of strategies"):
        assert text in answer.out
    assert "the page with plots is report.html" in answer.out
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_one_json_document(command: CommandLine) -> None:
    answer = command.run("report", "a.parquet", "--json", "--champion", "garch", "--only", "random_walk, garch")
    assert answer.status == 0, answer.error
    (comparison,) = answer.document["comparison_sets"]
    assert comparison["leaderboard"]["champion"] == {"forecaster": "garch", "strategy": "multi_step", "lookback": 5}
    assert comparison["comparison"]["entries"] == ["garch multi_step 5", "random_walk multi_step 1"]


def test_an_error_is_one_sentence(command: CommandLine) -> None:
    answer = command.run("report", "none.parquet")
    assert answer.status == 1
    assert answer.sentence == "there is no file none.parquet; use one that `tplus backtest --out` wrote"
    assert "cannot be written" in command.run("report", "a.parquet", "--out", "no/such/report.html").sentence
