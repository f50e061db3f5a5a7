"""The file of heads: appended to, read back, and what an altered line gives."""

from pathlib import Path

import pytest

from service.errors import LedgerError
from service.hash_chains.head_file import append_heads, read_known_heads, read_newest
from service.hash_chains.links import Chain, Head, Heads
from tests.support.forecast_factory import utc

FIRST = Heads(Head(1, "a" * 64), Head())
SECOND = Heads(Head(2, "b" * 64), Head(1, "c" * 64))
NOON = utc(2026, 1, 2, 12)


def test_heads_are_appended_as_lines_and_the_newest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    assert read_newest(path) is None
    append_heads(path, FIRST, NOON)
    append_heads(path, SECOND, NOON)
    assert path.read_text().splitlines()[0] == (
        '{"at":"2026-01-02T12:00:00Z","editions":{"number":1,"hash":"' + "a" * 64 + '"},'
        '"score_batches":{"number":0,"hash":"' + "0" * 64 + '"}}'
    )
    assert read_newest(path) == SECOND
    known, faults = read_known_heads([str(path), "D" * 64])
    assert faults == []
    assert known.hashes == {"d" * 64}
    assert known.numbered == {
        (Chain.EDITIONS, 1): "a" * 64,
        (Chain.EDITIONS, 2): "b" * 64,
        (Chain.SCORE_BATCHES, 1): "c" * 64,
    }


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    append_heads(path, FIRST, NOON)
    with path.open("a") as file:
        file.write('{"at":"2026-01-02T12:00')
    assert read_newest(path) == FIRST
    append_heads(path, SECOND, NOON)
    assert read_newest(path) == SECOND
    known, faults = read_known_heads([str(path)])
    assert faults == [f"{path}, line 2 is not a head; it was altered, or cut by a full disk"]
    assert len(known.numbered) == 3


def test_a_file_without_heads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes\n")
    with pytest.raises(LedgerError, match="has no heads"):
        read_known_heads([str(path)])
    with pytest.raises(LedgerError, match="cannot be read: No such file"):
        read_known_heads([str(tmp_path / "none")])
    with pytest.raises(LedgerError, match="neither a hash"):
        read_known_heads(["a\0b"])
    with pytest.raises(LedgerError, match="cannot be written"):
        append_heads(tmp_path / "no" / "heads.jsonl", FIRST, NOON)
