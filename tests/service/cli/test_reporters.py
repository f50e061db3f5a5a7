"""Output of the running service: tables on a terminal, JSON lines for a collector."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import structlog
from rich.console import Console

from service.cli.reporters import LogReporter, TerminalReporter, forecast_table
from service.log_config import configure_logs
from service.runs import Run
from service.runtime.progress import EditionSummary, ScoreSummary, ServedStep

AT = datetime(2018, 12, 20, 22, 30, tzinfo=UTC)
TARGETS = (date(2018, 12, 21), date(2018, 12, 24), date(2018, 12, 26))


def step(symbol: str, strategy: str, number: int) -> ServedStep:
    reason = "the random walk serves until a network is trained and accepted"
    return ServedStep(
        symbol, strategy, number, TARGETS[number - 1], 100.0, 100.0 + number, 95.0, 105.0, "random_walk", reason
    )


def edition(symbols: int = 1) -> EditionSummary:
    names = [f"S{number:02}" for number in range(symbols)]
    steps = [step(name, "multi_step", number) for name in names for number in (1, 2, 3)]
    steps += [step(name, "one_step", 1) for name in names]
    return EditionSummary(7, "XNYS", date(2018, 12, 20), AT, tuple(steps))


def shown(thing: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(thing)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_table_has_session_interval_and_forecaster_of_every_step() -> None:
    text = shown(forecast_table(edition()))
    assert "Edition 7 - XNYS, as of 2018-12-20, issued 2018-12-20 22:30Z" in text
    for words in ("T  2018-12-21", "T+1  2018-12-24", "T+2  2018-12-26", "103.00  [95.00 .. 105.00]", "random_walk"):
        assert words in text


def test_a_long_edition_shows_twelve_symbols_and_the_number_of_others() -> None:
    text = shown(forecast_table(edition(15)))
    assert "S11" in text
    assert "S12" not in text
    assert "and 3 more symbols, see the API" in text


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Capture the log's lines; restores the logging of other tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs("info", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def test_log_lines_are_json_with_the_figures(lines: io.StringIO) -> None:
    log = LogReporter()
    log.edition(edition())
    log.scores(ScoreSummary("XNYS", date(2018, 12, 20), 4, 3, 0))
    log.run_ended(Run(1, "pull", "XNYS", AT, date(2018, 12, 20), 0, 1, 1), "failed", {"ok": 1}, "no symbol")
    log.notice("on standby", ["A"])
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [entry["event"] for entry in found] == ["edition", "scored", "run", "notice"]
    assert [each["point"] for each in found[0]["steps"]] == [101.0, 102.0, 103.0, 101.0]
    assert (found[1]["inside_80"], found[2]["level"], found[2]["error"]) == (3, "warning", "no symbol")


def test_progress_is_logged_at_each_quarter(lines: io.StringIO) -> None:
    log = LogReporter()
    for percent in range(0, 101, 5):
        log.progress("training equity", percent / 100, "epoch")
    assert [json.loads(line)["fraction"] for line in lines.getvalue().splitlines()] == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_the_terminal_shows_errors_and_market_time(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter()
    run = Run(1, "forecast", "XNYS", AT, date(2018, 12, 20), 0, 1, 1)
    terminal.run_ended(run, "failed", {}, "no symbol could be pulled")
    terminal.run_ended(run, "done", {"missed": 3}, None)
    terminal.market_time(AT, "the record ends")
    terminal.progress("training equity", 0.5, "half")
    terminal.progress("training equity", 1.0, "done")
    out = " ".join(capsys.readouterr().out.split())
    assert "forecast XNYS 2018-12-20 failed: no symbol could be pulled" in out
    assert "3 forecasts missed, T has opened" in out
    assert "2018-12-20 22:30Z the record ends" in out
