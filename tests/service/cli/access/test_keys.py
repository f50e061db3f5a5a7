"""`tplus keys` and `tplus audit` over a real database."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from service.access.keys import find_key
from service.db.session import Database
from tests.support.command import CommandLine

TOKEN = r"tplus_[A-Za-z0-9_-]{43}"


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> CommandLine:
    settings = {"CLOCK": "replay:2012-12-20T23:00:00Z", "SYMBOLS": "AAPL", "DATABASE_URL": database_url}
    return CommandLine(tmp_path, settings)


def test_the_life_of_a_key_and_its_audit(line: CommandLine, database: Database) -> None:
    created = line.run("keys", "create", "notebook", "--scopes", "run,read", "--expires", "90d")
    assert re.fullmatch(TOKEN + "\n", created.out)  # alone on standard output
    assert re.match(r"key 1 \(notebook\) permits read,run and ends at \d{4}-", created.error)
    first = created.out.strip()
    assert first not in created.error
    assert re.match(
        r"    1  notebook             read,run        tplus_.{6}\.\.\.  valid    ends \d{4}.*, never used\n",
        line.run("keys", "list").out,
    )

    again = line.run("keys", "create", "notebook", "--scopes", "read")
    assert (again.status, again.out) == (1, "")
    assert again.sentence.startswith("there is a valid key named notebook already; replace it with `tplus keys rotate")

    rotated = line.run("keys", "rotate", "notebook", "--overlap", "24h", "--json").document
    assert (rotated["id"], rotated["scopes"], rotated["state"]) == (2, ["read", "run"], "valid")
    with database.reading() as connection:
        old, new = find_key(connection, first), find_key(connection, rotated["key"])
    assert old is not None
    assert new is not None
    assert old.expires_at is not None
    assert new.expires_at is not None
    day = timedelta(days=1)
    assert old.expires_at - new.created_at == day
    assert new.expires_at - new.created_at == 90 * day
    assert old.is_valid(new.created_at)
    assert not old.is_valid(new.created_at + day)

    revoked = line.run("keys", "revoke", "1").out
    assert revoked == "key 1 (notebook): revoked\n"
    assert line.run("keys", "revoke", "notebook", "--json").document == {"revoked": [2]}
    states = [(key["id"], key["state"]) for key in line.run("keys", "list", "--all", "--json").document["keys"]]
    assert states == [(1, "revoked"), (2, "revoked")]

    entries = line.run("audit", "--json").document["audit"]
    assert [(entry["action"], entry["actor"], entry["subject"]) for entry in entries] == [
        ("keys.revoke", "command line", "notebook"),
        ("keys.revoke", "command line", "notebook"),
        ("keys.rotate", "command line", "notebook"),
        ("keys.create", "command line", "notebook"),
    ]
    assert first not in str(entries)
    assert rotated["key"] not in str(entries)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_is_refused_leaves_nothing(line: CommandLine) -> None:
    cases = {
        ("create", "=HYPERLINK(1)"): "'=HYPERLINK(1)' cannot name a key",
        ("create", "a", "--scopes", "read,root"): "'root' is not a scope; name some of read,run,admin",
        ("create", "a", "--expires", "2020-01-01"): "would never be accepted; use a later end",
        ("rotate", "a", "--overlap", "1 day"): "'1 day' is not a duration; write it as 24h, 90d or 30m",
        ("rotate", "other"): "there is no valid key 'other'; see `tplus keys list --all`",
        ("revoke", "99999999999999999999"): "there is no valid key",
    }
    for words, sentence in cases.items():
        answer = line.run("keys", *words)
        assert (answer.status, answer.out) in ((1, ""), (2, "")), words
        assert sentence in answer.sentence, words
    assert line.run("keys", "list", "--all", "--json").document == {"keys": []}
    assert line.run("audit").out == "the audit is empty\n"
