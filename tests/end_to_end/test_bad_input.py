"""Bad input to the real command line: one clear message, the right exit status, no lost data, no traceback."""

import hashlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import CommandLine

START = "replay:2012-06-01T21:30:00Z"


def sample(folder: Path, **settings: str) -> CommandLine:
    return CommandLine(folder, {"SYMBOLS": "FB", "CLOCK": "replay:2012-12-20T23:00:00Z", **settings})


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"LOOKBACK": "0"}, 2, ["TPLUS_LOOKBACK='0'", "must be 1 or more"]),
        ({"LOKBACK": "5"}, 2, ["TPLUS_LOKBACK is not a setting", "did you mean TPLUS_LOOKBACK"]),
        ({"CLOCK": "replay:2020-01-01"}, 2, ["outside the record of 2000-03-01 to 2013-03-01"]),
        ({"SOURCE": "yahoo"}, 2, ["cannot be replayed", "TPLUS_CLOCK=system"]),
        ({"SOURCE": "files:nowhere"}, 2, ["there is no such folder"]),
        ({"SYMBOLS": "A B"}, 2, ["'A B' is not a symbol"]),
        ({"CALENDARS": "FB=XMOON"}, 2, ["TPLUS_CALENDARS=FB=XMOON", "there is no calendar named 'XMOON'"]),
        ({"REFERENCE_SYMBOLS": "SPY:friend"}, 2, ["SPY:market or SPY:volatility"]),
        ({"DATABASE_URL": "mysql://host/name"}, 2, ["SQLite and PostgreSQL are supported"]),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/none"}, 1, ["cannot be opened", "check the path or URL"]),
        ({"DATABASE_URL": "sqlite:////proc/none/x.db"}, 1, ["/proc/none cannot be created", "TPLUS_DATABASE_URL"]),
    ],
)
def test_an_invalid_setting_is_reported(
    tmp_path: Path, settings: dict[str, str], status: int, words: list[str]
) -> None:
    answer = sample(tmp_path, **settings).run("forecast", "--json")
    assert answer.status == status
    assert answer.out == ""
    for word in words:
        assert word in answer.sentence
    for path in tmp_path.glob("*.db"):
        database = sqlite3.connect(path)
        assert database.execute("SELECT count(*) FROM stamp").fetchone() == (0,), "a useless database was stamped"
        database.close()


def test_a_file_that_is_not_a_database_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, and no database at all\n" * 100)
    before = path.read_bytes()
    answer = sample(tmp_path, DATABASE_URL=f"sqlite:///{path}").run("forecast")
    assert (answer.status, path.read_bytes()) == (1, before)
    assert "notes.txt cannot be opened: file is not a database; check the path or URL" in answer.sentence


def test_a_database_of_another_kind_or_an_earlier_start_is_refused_and_unchanged(tmp_path: Path) -> None:
    line = sample(tmp_path)
    assert line.run("forecast").status == 0
    url = f"sqlite:///{tmp_path / 'tplus-sample-replay.db'}"
    before = contents(tmp_path)
    (tmp_path / "prices").mkdir()
    write_walk(tmp_path / "prices" / "GOOD.csv")
    other = [
        ({"SOURCE": f"files:{tmp_path / 'prices'}", "CLOCK": START}, "was made for source sample"),
        ({"CLOCK": "system"}, "with the replay clock, the settings name sample with the system clock"),
        ({"CLOCK": "replay:2012-12-20T22:59:59Z"}, "is earlier; use a new database for an earlier START"),
    ]
    for settings, words in other:
        answer = line.having(DATABASE_URL=url, **settings).run("forecast")
        assert answer.status == 1
        assert words in answer.sentence
    assert contents(tmp_path) == before


def test_unknown_symbols_are_reported(tmp_path: Path) -> None:
    line = sample(tmp_path, SYMBOLS="FB,NOPE")
    not_watched = line.run("forecast", "XYZ")
    assert (not_watched.status, not_watched.sentence) == (
        1,
        "XYZ is not on the watchlist; add it with `tplus symbols add XYZ`",
    )
    unknown = line.run("forecast", "NOPE")
    assert unknown.status == 1
    assert unknown.sentence.startswith("no symbol could be forecast; NOPE: the sample holds AAPL, FB, GOOG")
    both = line.run("forecast", "--json")
    assert both.status == 0
    assert [(e["symbol"], e["state"]) for e in both.document["forecasts"]] == [("FB", "issued"), ("NOPE", "unknown")]
    gone = line.run("symbols", "remove", "XYZ")
    assert (gone.status, gone.sentence) == (1, "XYZ is not on the watchlist; see `tplus symbols list`")


def test_an_empty_watchlist_is_reported(tmp_path: Path) -> None:
    line = sample(tmp_path)
    assert line.run("symbols", "remove", "FB").status == 0
    answer = line.run("forecast")
    assert (answer.status, answer.sentence) == (
        2,
        "the watchlist is empty; add symbols with `tplus symbols add AAPL MSFT`",
    )


FILES = {
    "EMPTY": "",
    "HEADER": "date,close,adj_close\n",
    "HEADERS": "when,what\n2012-01-03,5\n",
    "NEGATIVE": "date,close,adj_close\n2012-05-31,5,5\n2012-06-01,-5,-5\n",
    "NULLS": "date,close,adj_close\n2012-05-31,,\n2012-06-01,,\n",
    "ONE": "date,close,adj_close\n2012-06-01,5,5\n",
    "TWICE": "date,close,adj_close\n2012-06-01,5,5\n2012-06-01,6,6\n",
    "WORDS": "date,close,adj_close\n2012-05-31,5,5\n2012-06-01,five,5\n",
}


def write_walk(path: Path) -> None:
    """Write a year of business days with an adjusted close."""
    days = [day for day in np.arange(np.datetime64("2011-12-01"), np.datetime64("2012-12-31")) if np.is_busday(day)]
    closes = 50 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, len(days))))
    rows = "".join(f"{day},{close},{close}\n" for day, close in zip(days, closes, strict=True))
    path.write_text("date,close,adj_close\n" + rows)


def test_bad_files_fail_alone_and_the_good_one_is_forecast(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    write_walk(prices / "GOOD.csv")
    for name, text in FILES.items():
        (prices / f"{name}.csv").write_text(text)
    line = CommandLine(
        tmp_path, {"SOURCE": f"files:{prices}", "CLOCK": START, "SYMBOLS": ",".join(["GOOD", "NOFILE", *FILES])}
    )
    answer = line.run("forecast", "--json")
    assert answer.status == 0, answer.error
    assert "Traceback" not in answer.error
    entries = {entry["symbol"]: entry for entry in answer.document["forecasts"]}
    assert [symbol for symbol, entry in entries.items() if entry["state"] == "issued"] == ["GOOD"]
    reasons = {symbol: entry["reason"] for symbol, entry in entries.items() if symbol != "GOOD"}
    assert all(reason and "\n" not in reason for reason in reasons.values()), reasons
    assert "HEADERS.csv:1: the header needs one column" in reasons["HEADERS"]
    assert "WORDS.csv:3" in reasons["WORDS"]
    assert "HEADER.csv" in reasons["HEADER"]
    assert "no rows" in reasons["HEADER"]
    assert "EMPTY.csv" in reasons["EMPTY"]
    assert "no file in" in reasons["NOFILE"]
    assert reasons["ONE"].startswith("it has 1 bars")
    alone = line.run("forecast", "WORDS")
    assert alone.status == 1
    assert "WORDS.csv:3" in alone.sentence


def test_an_unknown_exchange_follows_weekdays_flagged_approximate(tmp_path: Path) -> None:
    prices = tmp_path / "prices"
    prices.mkdir()
    write_walk(prices / "MOON.csv")
    (prices / "manifest.csv").write_text("symbol,group,calendar,currency\nMOON,moon,Moon Exchange,USD\n")
    settings = {"SOURCE": f"files:{prices}", "CLOCK": "replay:2012-07-03T23:30:00Z", "SYMBOLS": "MOON"}
    answer = CommandLine(tmp_path, settings).run("forecast", "--json")
    assert answer.status == 0, answer.error
    (entry,) = answer.document["forecasts"]
    assert (entry["calendar"], entry["state"]) == ("weekdays", "issued")
    assert entry["target_sessions"] == ["2012-07-04", "2012-07-05", "2012-07-06"]  # it has no holidays
    database = sqlite3.connect(next(tmp_path.glob("*.db")))
    assert database.execute("SELECT DISTINCT approximate FROM sessions WHERE calendar = 'weekdays'").fetchall() == [
        (1,)
    ]
    database.close()


def test_a_folder_without_a_readable_series_is_reported(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "HEADERS.csv").write_text(FILES["HEADERS"])
    line = CommandLine(tmp_path, {"SOURCE": f"files:{tmp_path / 'prices'}", "CLOCK": START, "SYMBOLS": "HEADERS"})
    answer = line.run("forecast")
    assert answer.status == 2
    assert "has no readable price file: " in answer.sentence
    assert (
        "HEADERS.csv:1: the header needs one column date and one column close, it has 'when, what'" in answer.sentence
    )
    assert "`tplus files check " in answer.sentence


def test_a_damaged_database_is_reported_and_unchanged(tmp_path: Path) -> None:
    line = sample(tmp_path)
    assert line.run("forecast").status == 0
    database = sqlite3.connect(tmp_path / "tplus-sample-replay.db")
    database.execute("DROP TABLE schedulers")
    database.commit()
    database.close()
    before = contents(tmp_path)
    answer = line.run("forecast")
    assert answer.status == 1
    assert answer.sentence.startswith("database error: no such table: schedulers")
    assert contents(tmp_path) == before


def test_an_altered_edition_is_found(tmp_path: Path) -> None:
    line = sample(tmp_path)
    assert line.run("forecast").status == 0
    database = sqlite3.connect(tmp_path / "tplus-sample-replay.db")
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    database.execute("UPDATE forecasts SET q50 = q50 + 0.001 WHERE id = 1")
    database.commit()
    database.close()
    answer = line.run("db", "check")
    assert (answer.status, answer.sentence) == (1, "edition 1 was altered: its rows do not give its hash")


def contents(folder: Path) -> str:
    """Return a hash of every row of the sample's database."""
    database = sqlite3.connect(folder / "tplus-sample-replay.db")
    dump = "\n".join(database.iterdump())
    database.close()
    return hashlib.sha256(dump.encode()).hexdigest()
