"""Manifests, lists of actions and lists of symbols."""

from datetime import date
from pathlib import Path

import pytest

from service.prices.sources.base import Action, ActionKind, InstrumentMeta, Malformed
from service.prices.sources.files.side_tables import read_actions, read_file_symbols, read_metas, read_rows


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_rows_have_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'a,b\n1,"x\ny"\n2,z\n')
    assert read_rows(path, ("a", "b")) == [(3, {"a": "1", "b": "x\ny"}), (4, {"a": "2", "b": "z"})]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"a\.csv:1: the header lacks c; it needs a,c"):
        read_rows(write(tmp_path / "a.csv", "a,b\n1,2\n"), ("a", "c"))


def test_symbols_are_read_in_any_letter_case(tmp_path: Path) -> None:
    actions = read_actions([write(tmp_path / "actions.csv", "symbol,date,dividend,split\nmade,2018-12-28,0.5,2\n")])
    assert actions == {
        "MADE": (
            Action(date(2018, 12, 28), ActionKind.DIVIDEND, 0.5),
            Action(date(2018, 12, 28), ActionKind.SPLIT, 2.0),
        )
    }
    metas = read_metas([write(tmp_path / "m.csv", "symbol,group,calendar,currency\nmade, us_etfs ,NYSE,USD\n")])
    assert metas == {
        "MADE": InstrumentMeta(calendar="XNYS", currency="USD", instrument_type="ETF", calendar_stated=True)
    }
    symbols = read_file_symbols([write(tmp_path / "symbols.csv", "file,symbol\nx y.csv,made\n")])
    assert symbols == {tmp_path / "x y.csv": "MADE"}
