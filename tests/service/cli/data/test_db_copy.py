"""`tplus db copy`: from the embedded database to PostgreSQL and back, models included, and what it refuses."""

from dataclasses import replace
from pathlib import Path

from service.settings import Settings, load_settings
from tests.support.command import CommandLine

SETTINGS = {"CLOCK": "replay:2012-12-20T23:00:00Z", "SYMBOLS": "AAPL,IBM"}


def settings_of(line: CommandLine) -> Settings:
    return load_settings({name: value for name, value in line.environment.items() if name.startswith("TPLUS_")})


def at(line: CommandLine, url: str) -> CommandLine:
    return replace(line, settings={**line.settings, "DATABASE_URL": url})


def test_copy_to_postgresql_and_back_with_the_models(tmp_path: Path, postgres_url: str) -> None:
    embedded = CommandLine(tmp_path, SETTINGS)
    assert embedded.run("pull").status == 0
    model = settings_of(embedded).artifact_dir / "lstm-1" / "weights.npz"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")

    copied = embedded.run("db", "copy", postgres_url, "--json")
    assert copied.status == 0, copied.error
    assert (copied.document["instruments"]["rows"], copied.document["stamp"]["rows"]) == (2, 1)
    assert copied.document["bars"]["rows"] > 3000
    production = at(embedded, postgres_url)
    checked = production.run("db", "check").out
    assert checked == "all editions and score batches match their hashes, none is missing\n"
    assert (settings_of(production).artifact_dir / "lstm-1" / "weights.npz").read_bytes() == b"weights"
    assert "AAPL" in production.run("symbols", "list").out

    back = at(embedded, f"sqlite:///{tmp_path / 'back.db'}")
    again = production.run("db", "copy", back.settings["DATABASE_URL"], "--json")
    assert again.document == copied.document
    assert (settings_of(back).artifact_dir / "lstm-1" / "weights.npz").read_bytes() == b"weights"

    refused = embedded.run("db", "copy", postgres_url)
    assert refused.status == 1
    assert "is not empty" in refused.sentence
    assert "use an empty database, nothing was copied" in refused.sentence


def test_an_unreadable_database_is_reported_without_its_password(tmp_path: Path) -> None:
    line = CommandLine(tmp_path, SETTINGS)
    new = line.run("db", "copy", f"sqlite:///{tmp_path / 'target.db'}")
    assert new.status == 1
    assert "has no tables yet" in new.sentence
    assert not (tmp_path / "target.db").exists()
    assert line.run("db", "upgrade").status == 0
    gone = line.run("db", "copy", "postgresql://me:hidden@127.0.0.1:1/x")
    assert gone.status == 1
    assert "postgresql://me:***@127.0.0.1:1/x cannot be opened" in gone.sentence
    assert "hidden" not in gone.error
