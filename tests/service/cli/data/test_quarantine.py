"""`tplus quarantine` over a real database: suspect rows, clearing them, and the line in the audit."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from service.db.session import Database
from service.db.tables import audit, quarantine
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.quarantine.symbol_holds import SymbolHold, allowed_symbols, raise_hold
from service.prices.repository import has_bar, read_actions
from tests.support.command import CommandLine

AT = datetime(2012, 12, 20, 23, tzinfo=UTC)
DAY = date(2012, 12, 20)
ROW = {"open": 50.0, "high": 51.0, "low": 49.0, "close": 50.0, "volume": 1000.0, "jump": -0.69, "clears": False}


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, {"CLOCK": "replay:2012-12-20T23:00:00Z", "SYMBOLS": "AAPL,IBM"})


@pytest.fixture
def database(line: CommandLine) -> Iterator[Database]:
    """The command line's database, created by its first command."""
    first = line.run("quarantine", "list")
    assert (first.status, first.out) == (0, "no suspect rows, no symbols on hold\n"), first.error
    opened = Database(f"sqlite:///{line.folder / 'tplus-sample-replay.db'}")
    with opened.transaction() as connection:
        seen = {"first_seen_at": AT, "last_seen_at": AT}
        connection.execute(
            insert(quarantine),
            [
                {"symbol": "IBM", "session": DAY, "row": ROW, "reason": "halved", "state": "open", **seen},
                {"symbol": "IBM", "session": DAY, "row": {}, "reason": "not a session", "state": "refused", **seen},
            ],
        )
        raise_hold(connection, "AAPL", SymbolHold.BASIS, "all closes were halved", DAY, AT)
    yield opened
    opened.close()


def test_suspect_rows_and_holds_are_listed(line: CommandLine, database: Database) -> None:
    listed = line.run("quarantine", "list")
    assert listed.out.splitlines() == [
        " hold  AAPL       basis      open      all closes were halved",
        "    1  IBM        2012-12-20 open      halved",
    ]
    everything = line.run("quarantine", "list", "IBM", "--all", "--json").document["quarantine"]
    assert [(row["id"], row["state"]) for row in everything] == [(1, "open"), (2, "refused")]
    assert everything[0]["row"]["close"] == 50.0
    (hold,) = line.run("quarantine", "list", "--json").document["holds"]
    assert (hold["symbol"], hold["kind"], hold["sessions_seen"]) == ("AAPL", "basis", ["2012-12-20"])


def test_clearing_accepts_rows_and_writes_an_audit_line_each(line: CommandLine, database: Database) -> None:
    answer = line.run("quarantine", "clear", "1", "--hold", "AAPL")
    assert answer.out.splitlines() == [
        "IBM 2012-12-20: the bar is stored as received",
        "AAPL basis: the next pull takes the whole history as the source has it, on a new basis",
    ]
    with database.reading() as connection:
        assert has_bar(connection, "IBM", DAY)
        assert allowed_symbols(connection, ["AAPL", "IBM"]) == {"AAPL"}
        lines = connection.execute(select(audit).order_by(audit.c.id)).all()
    assert [(row.actor, row.action, row.subject) for row in lines] == [
        ("command line", "quarantine.clear", "IBM"),
        ("command line", "hold.clear", "AAPL"),
    ]
    assert lines[0].detail["reason"] == "halved"
    assert lines[0].detail["row"]["close"] == 50.0
    assert lines[0].at.year >= 2026, "machine time, not the replayed market's"


def test_an_unknown_number_clears_nothing(line: CommandLine, database: Database) -> None:
    answer = line.run("quarantine", "clear", "1", "9")
    assert (answer.status, answer.sentence) == (1, "the quarantine has no row 9; see `tplus quarantine list`")
    with database.reading() as connection:
        assert not has_bar(connection, "IBM", DAY)
        assert connection.execute(select(audit.c.id)).all() == []


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--hold", "IBM"], 1, "IBM has no open hold; see `tplus quarantine list`"),
        ([], 2, "nothing to clear; give the number of a row, or --hold SYMBOL"),
    ],
)
def test_clearing_nothing_is_an_error(
    line: CommandLine, database: Database, arguments: list[str], status: int, sentence: str
) -> None:
    answer = line.run("quarantine", "clear", *arguments)
    assert (answer.status, answer.sentence) == (status, sentence)


def test_rejecting_keeps_the_bar_out_and_writes_an_audit_line(line: CommandLine, database: Database) -> None:
    answer = line.run("quarantine", "reject", "1")
    assert answer.out == "IBM 2012-12-20: the bar stays out; forecasts that span it become void\n"
    with database.reading() as connection:
        assert not has_bar(connection, "IBM", DAY)
        assert [row.state for row in connection.execute(select(quarantine).order_by(quarantine.c.id))] == [
            "rejected", "refused",
        ]  # fmt: skip
        (written,) = connection.execute(select(audit)).all()
    assert (written.actor, written.action, written.subject) == ("command line", "quarantine.reject", "IBM")
    again = line.run("quarantine", "reject", "1")
    assert again.status != 0
    assert "row 1 of the quarantine is rejected, not open" in again.error


def hold_dividend(database: Database) -> None:
    row = {"kind": "dividend", "value": 12.5, "share": 0.25}
    with database.transaction() as connection:
        seen = {"first_seen_at": AT, "last_seen_at": AT}
        values = {"symbol": "AAPL", "session": DAY, "row": row, "reason": "25 % of the close", "state": "open", **seen}
        connection.execute(insert(quarantine).values(values))


def test_rejecting_a_dividend_leaves_it_out(line: CommandLine, database: Database) -> None:
    hold_dividend(database)
    answer = line.run("quarantine", "reject", "3")
    assert answer.out == "AAPL 2012-12-20: the dividend of 12.5 stays out until the source corrects it\n"
    with database.reading() as connection:
        assert read_actions(connection, "AAPL") == ()


def test_clearing_a_dividend_applies_it(line: CommandLine, database: Database) -> None:
    hold_dividend(database)
    assert line.run("quarantine", "clear", "3").out == "AAPL 2012-12-20: the dividend of 12.5 is applied as received\n"
    with database.reading() as connection:
        assert read_actions(connection, "AAPL") == (Action(DAY, ActionKind.DIVIDEND, 12.5),)
        assert not has_bar(connection, "AAPL", DAY)
        assert connection.execute(select(audit.c.action)).scalars().all() == ["quarantine.clear"]
