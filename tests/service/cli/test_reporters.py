"""Output of the running service: tables on a terminal, JSON lines for a collector."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import structlog

from service.cli.reporters import LogReporter, TerminalReporter, edition_line
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


def test_an_edition_is_one_line() -> None:
    scored = ScoreSummary("XNYS", date(2018, 12, 20), 16, 13, 0)
    assert edition_line(edition(3), scored) == (
        "2018-12-20 XNYS #7  12-21 S00 101.00 [95.00 .. 105.00] +2  random_walk  13/16 in 80 %"
    )
    assert edition_line(edition(), None) == "2018-12-20 XNYS #7  12-21 S00 101.00 [95.00 .. 105.00]  random_walk"


def test_an_edition_with_long_names_has_at_most_100_columns() -> None:
    long = step("LONG-SYMBOL-OF-FORTY-CHARACTERS-" + 8 * "X", "multi_step", 1)
    summary = EditionSummary(123456, "XNYS", date(2018, 12, 20), AT, (replace(long, point=1e9, high=2e9),))
    line = edition_line(summary, ScoreSummary("XNYS", date(2018, 12, 20), 160, 130, 0))
    assert len(line) == 100
    assert line.endswith("...")
    assert edition_line(EditionSummary(7, "XNYS", date(2018, 12, 20), AT, ()), None) == "2018-12-20 XNYS #7"


def test_the_terminal_prints_one_line_for_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter()
    terminal.run_ended(pull_of("XNYS"), "done", {"ok": 4, "unknown": 2}, None)
    terminal.scores(ScoreSummary("XNYS", date(2018, 12, 20), 16, 13, 0))
    terminal.edition(edition(3))
    out = capsys.readouterr().out
    assert out == "2018-12-20 XNYS #7  12-21 S00 101.00 [95.00 .. 105.00] +2  random_walk  13/16 in 80 %\n"


def pull_of(calendar: str) -> Run:
    return Run(1, "pull", calendar, AT, date(2018, 12, 20), 0, 1, 1)


UNREACHABLE = "Yahoo cannot be reached (Resolving timed out after 5001 milliseconds); try again later"


def test_that_the_vendor_cannot_be_reached_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter()
    for calendar, symbol, state in (("XTKS", "7203.T", "due"), ("XNYS", "AAPL", "due"), ("XTKS", "7203.T", "failed")):
        error = f"4 of 4 symbols could not be pulled; {symbol}: {UNREACHABLE.replace('5001', str(5001 + len(symbol)))}"
        terminal.run_ended(pull_of(calendar), state, {}, error)
    terminal.run_ended(pull_of("XTKS"), "failed", {}, f"no symbol could be pulled; 7203.T: {UNREACHABLE}")
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        "prices of XTKS are not arriving, retrying: Yahoo cannot be reached "
        "(Resolving timed out after 5007 milliseconds); try again later"
    )
    terminal.run_ended(pull_of("XNYS"), "due", {}, "2 of 4 symbols could not be pulled; AAPL: HTTP status 502")
    terminal.run_ended(pull_of("XNYS"), "done", {"ok": 4}, None)
    terminal.run_ended(pull_of("XTKS"), "done", {"ok": 3, "suspect": 1}, None)
    assert capsys.readouterr().out.splitlines() == [
        "prices of XNYS are not arriving, retrying: HTTP status 502",
        "prices arrive again",
        "2018-12-20 XTKS pulled, except 1 suspect",
    ]


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


def test_texts_from_elsewhere_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter()
    terminal.notice("prices[red].csv: no date", ["[b]A"])
    terminal.market_time(AT, "files [old] end")
    terminal.decision("my[i]", "one_step", "not promoted: [/tmp/x] is gone")
    assert capsys.readouterr().out.splitlines() == [
        "note: prices[red].csv: no date: [b]A",
        "2018-12-20 22:30Z files [old] end",
        "my[i] one_step: not promoted: [/tmp/x] is gone",
    ]


def test_a_notice_about_the_same_symbols_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalReporter()
    for symbols in (["SPY"], ["SPY"], ["SPY", "^VIX"], [], []):
        terminal.notice("input missing", symbols)
    assert capsys.readouterr().out.splitlines() == [
        "note: input missing: SPY", "note: input missing: SPY, ^VIX", "note: input missing", "note: input missing",
    ]  # fmt: skip
