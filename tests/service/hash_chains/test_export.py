"""The ledger as JSON lines: verified without a database, and what a changed file gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.db.session import Database
from service.errors import LedgerError
from service.hash_chains.export import verify_export, write_export
from service.hash_chains.links import Heads, read_heads
from service.hash_chains.verify import KnownHeads
from tests.support.chain_factory import fill_chains, unguarded


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    fill_chains(database, tmp_path)
    return database


def exported(database: Database, folder: Path) -> tuple[Path, Heads]:
    path = folder / "ledger.jsonl"
    with database.reading() as connection:
        assert write_export(connection, path, {"source": "sample"}) == 6
        return path, read_heads(connection)


def test_an_export_verifies_and_names_the_heads_of_the_database(filled: Database, tmp_path: Path) -> None:
    path, heads = exported(filled, tmp_path)
    known = KnownHeads()
    known.add(heads)
    report = verify_export(path, known)
    assert (report.fault_count, report.heads) == (0, heads)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["ledger", *["edition"] * 3, *["score_batch"] * 3, "end"]
    assert lines[0] == {"kind": "ledger", "format": 1, "source": "sample"}
    assert lines[1]["header"]["issued_at"] == "2018-06-01T22:00:00.000000+00:00"
    assert lines[-1]["editions"] == {"number": 3, "hash": heads.editions.hash}
    assert list(tmp_path.glob(".ledger*")) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_altered_row_is_exported_and_reported(filled: Database, tmp_path: Path) -> None:
    with unguarded(filled) as execute:
        execute("UPDATE scores SET pinball = 9e999 WHERE batch = 2")
    path, _ = exported(filled, tmp_path)
    assert verify_export(path).faults == ["score batch 2 was altered: its scores do not give its hash"]


Change = Callable[[list[dict[str, Any]]], object]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda lines: lines[5]["scores"][0].update(pinball=0.1),
         ["score batch 2 was altered: its scores do not give its hash"]),
        (lambda lines: lines.pop(), ["the export has no last line: the file was cut short"]),
        (lambda lines: lines.pop(2), ["edition 2 is missing: the next one stored is 3",
                                      "edition 3 does not name the hash of the edition before it"]),
        (lambda lines: lines.pop(6), ["the heads of the export's last line are not those of its last links: "
                                      "lines were removed or added"]),
    ],
)  # fmt: skip
def test_a_changed_export_is_reported(filled: Database, tmp_path: Path, change: Change, faults: list[str]) -> None:
    path, _ = exported(filled, tmp_path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert verify_export(path).faults == faults


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an export of the ledger"),
        ('{"kind":"other"}\n', "is not an export of the ledger"),
        ('{"kind":"ledger","format":2}\n', "has format 2, this version reads 1"),
        ('{"kind":"ledger","format":1}\n{"kind":"edition"', "line 2 is not a JSON object"),
        ('{"kind":"ledger","format":1}\n[1]\n', "line 2 is not a JSON object"),
        ('{"kind":"ledger","format":1}\n' + "[" * 100_000 + "\n", "line 2 is not a JSON object"),
        ('{"kind":"ledger","format":1}\n{"kind":"edition","header":{"number":true}}\n', "line 2 is neither"),
        ('{"kind":"ledger","format":1}\n{"kind":"edition","header":{"number":1},"forecasts":[1]}\n',
         "line 2 has no list of forecasts"),
        ('{"kind":"ledger","format":1}\n{"kind":"edition","header":{"number":1},"forecasts":[],"items":[]}\n',
         "line 2 has no hash"),
        ('{"kind":"ledger","format":1}\n{"kind":"end","editions":{"number":-1,"hash":"x"}}\n',
         "line 2: editions is not"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text(text)
    with pytest.raises(LedgerError, match=message):
        verify_export(path)


def test_a_line_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.hash_chains.export.MAX_LINE", 100)
    path = tmp_path / "long.jsonl"
    path.write_text('{"kind":"ledger","format":1}\n' + '{"kind":"edition","x":"' + "x" * 200 + '"}\n')
    with pytest.raises(LedgerError, match="line 2 is longer than 100 bytes"):
        verify_export(path)


def test_a_missing_file_or_folder_is_named(database: Database, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"none\.jsonl cannot be read: No such file"):
        verify_export(tmp_path / "none.jsonl")
    with database.reading() as connection, pytest.raises(LedgerError, match="cannot be written: No such file"):
        write_export(connection, tmp_path / "no" / "folder.jsonl", {})
