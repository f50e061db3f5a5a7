"""`tplus files check` over real folders."""

from datetime import date
from pathlib import Path

from service.market.exchange_calendar import get_calendar
from tests.support.command import CommandLine
from tests.support.price_files import FORMS, ORDINARY


def test_every_file_is_listed(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    (prices / "aapl_us_d.csv").write_text(ORDINARY)
    (prices / "prices.csv").write_bytes(FORMS["yfinance, several symbols"].content)
    line = CommandLine(tmp_path, {"CALENDARS": "ELSE=XLON"})
    answer = line.run("files", "check", str(prices))
    assert (answer.status, answer.error) == (0, "")
    assert answer.out.splitlines() == [
        "aapl_us_d.csv: read as Stooq",
        "    AAPL: 8 rows, 2018-12-24 to 2019-01-04, calendar XNYS, adjustment total",
        "        the calendar is assumed; a manifest or TPLUS_CALENDARS names it",
        "prices.csv: read as yfinance, several symbols",
        "    ELSE: 8 rows, 2018-12-24 to 2019-01-04, calendar XLON, adjustment total",
        "    MADE: 8 rows, 2018-12-24 to 2019-01-04, calendar XNYS, adjustment total",
        "        the calendar is assumed; a manifest or TPLUS_CALENDARS names it",
    ]
    assert list(tmp_path.glob("*.db")) == []


def test_refused_files_are_listed_with_their_reasons_and_the_exit_status_is_1(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    (prices / "MADE.csv").write_bytes(FORMS["German"].content)
    (prices / "bad\x1b[31m.csv").write_text("date,close\n2018-12-31,one\n")
    line = CommandLine(tmp_path, {})
    answer = line.run("files", "check", str(prices))
    assert answer.status == 1
    assert answer.sentence == "1 of 2 files are refused; the reason of each is listed with it"
    assert answer.out.splitlines() == [
        "MADE.csv: read as prices, one row per date",
        "    MADE: 8 rows, 2018-12-24 to 2019-01-04, calendar XNYS, adjustment unknown",
        "        fields separated by semicolons",
        "        dates are day, month, year",
        "        decimal comma",
        "        neither adjusted closes nor actions: used as price returns",
        "        the calendar is assumed; a manifest or TPLUS_CALENDARS names it",
        f"bad\\x1b[31m.csv: refused: {prices}/bad\\x1b[31m.csv: nothing names the symbol; rename it to SYMBOL.csv, "
        "or list file,symbol in symbols.csv",
    ]
    files = line.run("files", "check", str(prices), "--json").document["files"]
    assert [(file["path"], file["read_as"]) for file in files] == [
        ("MADE.csv", "prices, one row per date"),
        ("bad\\x1b[31m.csv", None),
    ]
    assert files[0]["symbols"][0]["rows"] == 8


def test_a_folder_without_price_files_and_a_missing_one_are_reported(tmp_path: Path) -> None:
    line = CommandLine(tmp_path, {})
    (tmp_path / "prices").mkdir()
    answer = line.run("files", "check", "prices")
    assert (answer.status, answer.sentence) == (1, "prices holds no price file; add CSV or Parquet files")
    answer = line.run("files", "check", "nowhere")
    assert answer.status == 2
    assert "there is no such folder" in answer.sentence


def test_price_returns_are_said_once_at_start(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    (prices / "MADE.csv").write_text(ORDINARY)
    settings = {"SOURCE": f"files:{prices}", "CLOCK": "replay:2019-01-03", "SYMBOLS": "MADE"}
    answer = CommandLine(tmp_path, settings).run("pull")
    assert answer.status == 0, answer.error
    assert (answer.out + answer.error).count("used as price returns") == 1


def test_rows_are_checked_against_the_calendar_as_a_pull_does(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    first, last = date(2023, 1, 4), date(2024, 3, 28)
    early = get_calendar("XTKS", first, last).table(first, last).sessions - 1
    (prices / "6758.T.csv").write_text("\n".join(["date,close,volume", *(f"{day},100,1000" for day in early)]) + "\n")
    answer = CommandLine(tmp_path, {}).run("files", "check", str(prices))
    assert (answer.status, answer.error) == (0, "")
    _, rows, price_returns, moved = answer.out.splitlines()
    assert rows == "    6758.T: 303 rows, 2023-01-04 to 2024-03-28, calendar XTKS, adjustment unknown"
    assert price_returns == "        neither adjusted closes nor actions: used as price returns"
    assert "local midnights were written as UTC dates, a day early" in moved
