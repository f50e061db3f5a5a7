"""Recorded prices through the pull: crashes are confirmed, missing splits are not, splits re-base on their day."""

from datetime import date
from pathlib import Path

import pytest

from service.db.session import Database
from service.prices.quarantine.row_quarantine import list_quarantine
from service.prices.repository import has_bar
from service.prices.sources.files import FilesSource
from service.settings import Settings
from tests.support.fakes import FakeSource, World
from tests.support.paths import PRICES
from tests.support.stored_bars import read_bars

pytestmark = pytest.mark.skipif(not PRICES.is_dir(), reason=f"no recorded prices at {PRICES}")

REAL_MOVES = [
    ("AAPL", date(2000, 9, 29)), ("NVDA", date(2004, 8, 6)), ("NFLX", date(2004, 10, 15)),
    ("NFLX", date(2011, 10, 25)), ("C", date(2008, 11, 24)), ("C", date(2009, 2, 27)),
]  # fmt: skip
MISSING_SPLITS = [("ANTM", date(2005, 6, 2)), ("WST", date(2004, 9, 30))]


def recorded(database: Database, tmp_path: Path) -> World:
    source: FakeSource = FilesSource(PRICES)  # type: ignore[assignment]
    return World(database, source, Settings(data_dir=tmp_path), frozenset({"^VIX"}))


def test_real_moves_are_confirmed_and_missing_splits_are_not(database: Database, tmp_path: Path) -> None:
    world = recorded(database, tmp_path)
    symbols = sorted({symbol for symbol, _ in REAL_MOVES + MISSING_SPLITS} | {"^VIX", "SPY"})
    assert {outcome.state for outcome in world.pull(date(2018, 12, 27), *symbols).values()} == {"ok"}
    with database.reading() as connection:
        assert not [move for move in REAL_MOVES if has_bar(connection, *move)]  # each waits for a second pull
    assert {outcome.state for outcome in world.pull(date(2018, 12, 28), *symbols).values()} == {"ok"}
    with database.reading() as connection:
        assert [move for move in REAL_MOVES if not has_bar(connection, *move)] == []
        assert [move for move in MISSING_SPLITS if has_bar(connection, *move)] == []
        suspects = {(record.symbol, record.session) for record in list_quarantine(connection, None, "open")}
        volatility = read_bars(connection, "^VIX")
    assert set(MISSING_SPLITS) <= suspects
    assert not {symbol for symbol, _ in suspects} & {"^VIX", "SPY", "AAPL", "NVDA", "NFLX", "C"}
    # 2018-02-05: 17.31 to 37.32 in one session.
    assert volatility.close[volatility.sessions.tolist().index(date(2018, 2, 5))] == 37.32


def test_a_recorded_split_rebases_on_its_day(database: Database, tmp_path: Path) -> None:
    """AAPL split 7:1 on 2014-06-09; the close before was 645.57."""
    world = recorded(database, tmp_path)
    before, after = date(2014, 6, 6), date(2014, 6, 9)
    world.pull(before, "AAPL")
    with database.reading() as connection:
        assert read_bars(connection, "AAPL").close[-1] == pytest.approx(645.57, abs=0.01)
    assert world.pull(after, "AAPL")["AAPL"].counts["rebased"] > 3600
    with database.reading() as connection:
        closes = read_bars(connection, "AAPL").close
    assert closes[-2:].tolist() == pytest.approx([645.57 / 7, 93.70], abs=0.01)
    assert world.instruments("AAPL")[0].basis == 2
