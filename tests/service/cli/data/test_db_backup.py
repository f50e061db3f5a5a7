"""`tplus db backup`, `restore` and `prune`: the real commands on a service's database."""

import json
import tarfile
from pathlib import Path

from tests.support.command import CommandLine

SETTINGS = {"CLOCK": "replay:2012-12-20T23:00:00Z", "SYMBOLS": "AAPL,IBM"}


def test_a_backup_is_restored_and_pruned(tmp_path: Path) -> None:
    here, there = CommandLine(tmp_path / "here", SETTINGS), CommandLine(tmp_path / "there", SETTINGS)
    here.folder.mkdir()
    there.folder.mkdir()
    missing = here.run("db", "backup", str(tmp_path))
    assert (missing.status, list(tmp_path.glob("*.tar"))) == (1, [])
    assert "there is no database" in missing.sentence
    assert here.run("pull").status == 0
    made = here.run("db", "backup", str(tmp_path), "--json")
    assert made.status == 0, made.error
    (archive,) = tmp_path.glob("tplus-sample-*.tar")
    assert made.document["file"] == str(archive)
    assert made.document["tables"]["bars"]["rows"] > 3000
    with tarfile.open(archive) as found:
        assert found.getnames()[:2] == ["manifest.json", "database.sqlite"]

    restored = there.run("db", "restore", str(archive))
    assert restored.status == 0, restored.error
    assert "the hashes of all tables agree" in restored.out
    assert "AAPL" in there.run("symbols", "list").out
    again = there.run("db", "restore", str(archive))
    assert again.status == 1
    assert "is not empty" in again.sentence
    assert there.run("db", "restore", str(archive), "--replace").status == 0
    head = {"number": 3, "hash": "a" * 64}
    recorded = tmp_path / "heads.jsonl"
    recorded.write_text(json.dumps({"at": "2026-01-02T12:00:00Z", "editions": head, "score_batches": head}) + "\n")
    older = there.having(LEDGER_HEAD_FILE=str(recorded)).run("db", "restore", str(archive), "--replace")
    assert older.status == 0
    assert "edition 3 of the recorded head is missing: the chain was cut short; the backup is older" in older.out
    unread = there.having(LEDGER_HEAD_FILE=str(tmp_path)).run("db", "restore", str(archive), "--replace", "--json")
    assert (unread.status, len(unread.document["lost_heads"])) == (0, 1)
    assert unread.document["lost_heads"][0].startswith("the heads were not compared: ")
    other = CommandLine(tmp_path / "other", {**SETTINGS, "CLOCK": "system"})
    other.folder.mkdir()
    refused = other.run("db", "restore", str(archive))
    assert "is of source sample with the replay clock" in refused.sentence

    unset = there.run("db", "prune")
    assert (unset.status, unset.sentence.partition(";")[0]) == (2, "nothing says how long to keep")
    counted = there.having(RETENTION_DAYS="90").run("db", "prune", "--dry-run", "--json")
    assert counted.document == {
        "keep_days": 90, "dry_run": True, "bar_revisions": 0, "quarantine": 0, "outcomes": 0, "runs": 0,
    }  # fmt: skip
    assert there.run("db", "prune", "--keep-days", "89").status == 2
    assert there.run("db", "prune", "--keep-days", "90").out.startswith(
        "0 bar revisions, 0 quarantine rows and 0 outcomes of 0 runs"
    )
