"""`tplus ledger`: heads, verification with recorded heads, and offline from an export."""

import json
from pathlib import Path

import pytest

from service.db.migrate import upgrade
from service.db.session import Database
from tests.support.chain_factory import extend_chains, fill_chains, unguarded
from tests.support.command import CommandLine


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """A command line on a database with three editions and three score batches."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    database = Database(url)
    upgrade(database)
    fill_chains(database, tmp_path)
    database.close()
    return CommandLine(tmp_path, {"DATABASE_URL": url})


def test_a_ledger_is_verified_with_its_heads_and_from_an_export(line: CommandLine) -> None:
    heads = line.run("ledger", "heads", "--json").document
    assert (heads["editions"]["number"], heads["score_batches"]["number"]) == (3, 3)
    assert line.run("ledger", "verify").out == (
        "3 editions with 3 forecasts and 3 score batches with 3 scores were recomputed: "
        "all match their hashes, none is missing; compare their heads with recorded ones, see --head\n"
    )
    file = line.folder / "ledger.jsonl"
    assert line.run("ledger", "export", str(file)).out == f"{file}: editions 1 to 3, score batches 1 to 3\n"
    offline = line.having(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    text = heads["score_batches"]["hash"]
    verified = offline.run("ledger", "verify", "--export", str(file), "--head", text, "--json")
    assert verified.status == 0
    assert verified.document["heads"] == heads

    database = Database(line.settings["DATABASE_URL"])
    extend_chains(database, 4, 4)
    assert line.run("ledger", "verify", "--head", text).status == 0
    known = line.folder / "heads.jsonl"
    known.write_text(json.dumps(line.run("ledger", "heads", "--json").document) + "\n")
    with unguarded(database) as execute:
        for table, column in (("scores", "batch"), ("score_batches", "number")):
            execute(f"DELETE FROM {table} WHERE {column} = 4")
    database.close()
    assert line.run("ledger", "verify").status == 0
    cut = line.run("ledger", "verify", "--head", str(known), "--json")
    assert cut.status == 1
    assert cut.sentence == "the score batches end at 3, but a recorded head is score batch 4: 1 were cut off"
    assert cut.document["fault_count"] == 1


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    line = CommandLine(tmp_path, {"DATABASE_URL": f"sqlite:///{tmp_path / 'none.db'}"})
    refused = line.run("ledger", "verify")
    assert (refused.status, (tmp_path / "none.db").exists()) == (1, False)
    assert "there is no database" in refused.sentence
