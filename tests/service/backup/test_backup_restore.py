"""Backups of both databases: restored with equal row hashes and models, and everything that is refused."""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from models.config import ModelConfig, Strategy
from service.backup.backup import BackupSource, back_up
from service.backup.manifest import Manifest
from service.backup.restore import Destination, restore
from service.db.row_hashes import digest
from service.db.session import Database
from service.db.tables import audit, metadata, schedulers
from service.errors import DatabaseError, LedgerError, StampMismatch, TplusError
from service.hash_chains.verify import verify_database
from tests.support.chain_factory import RECORDED, fill_chains
from tests.support.forecast_factory import record_version, save_network, utc

LATER = utc(2100, 1, 1)


@dataclass
class Place:
    """A filled database with its models, and an empty one of the same kind."""

    origin: BackupSource
    destination: Destination
    archive: Path
    model: Path


@pytest.fixture
def place(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    store = tmp_path / "models"
    fill_chains(database, tmp_path)
    with database.transaction() as connection:
        trained = save_network(ModelConfig("lstm", Strategy.MULTI_STEP), 1, store)
        record_version(connection, trained, "challenger")
    url = f"sqlite:///{tmp_path / 'there' / 'restored.db'}"
    if not database.is_sqlite:
        url = request.getfixturevalue("second_postgres_url")
    there = Database(url)
    destination = Destination(there, tmp_path / "there" / "models", "fake", "replay")
    yield Place(BackupSource(database, store, "0.1.0"), destination, tmp_path / "backup.tar", trained.path)
    there.close()


def hashes(database: Database) -> dict[str, Any]:
    with database.reading() as connection:
        return {table.name: digest(connection, table) for table in metadata.sorted_tables if table is not audit}


def made(place: Place) -> Manifest:
    path, manifest = back_up(place.origin, place.archive, RECORDED)
    assert path == place.archive
    return manifest


def test_a_restored_backup_has_equal_rows_models_and_chains(place: Place) -> None:
    before = hashes(place.origin.database)
    manifest = made(place)
    assert place.archive.stat().st_mode & 0o777 == 0o600
    assert (manifest.source, manifest.clock, manifest.migration) == ("fake", "replay", "1012")
    assert (manifest.editions.number, manifest.score_batches.number, len(manifest.artifacts)) == (3, 3, 3)
    # The version that a test made by hand has no artifact.
    assert [sentence.partition(":")[0] for sentence in manifest.left_out] == ["by-hand"]
    assert restore(place.archive, place.destination) == manifest
    there = place.destination.database
    assert hashes(there) == before == hashes(place.origin.database)
    copied = place.destination.store / place.model.name
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == {
        path.name: path.read_bytes() for path in place.model.iterdir()
    }
    with there.reading() as connection:
        assert verify_database(connection).fault_count == 0
        assert connection.execute(audit.select()).one().action == "db.restore"
    # What was restored can be backed up and restored again, over itself.
    path, _ = back_up(replace(place.origin, database=there, store=place.destination.store), place.archive.parent, LATER)
    assert path.name == "tplus-fake-21000101T000000Z.tar"
    restore(path, replace(place.destination, replace=True))
    assert hashes(there) == before
    assert list(place.archive.parent.glob(".tplus-*")) == list(place.destination.store.parent.glob(".tplus-*")) == []


def test_a_database_with_rows_is_replaced_only_if_told(place: Place) -> None:
    made(place)
    restore(place.archive, place.destination)
    there = place.destination.database
    with there.transaction() as connection:
        connection.execute(insert(schedulers).values(id="s", name="host:1", heartbeat_at=RECORDED, token=1))
    changed = hashes(there)
    with pytest.raises(DatabaseError, match=r"is not empty: \w+ has rows; use an empty database, or --replace"):
        restore(place.archive, place.destination)
    with there.transaction() as connection:
        connection.execute(update(schedulers).values(lease_until=LATER))
    with pytest.raises(DatabaseError, match=r"a scheduler uses .* stop the service"):
        restore(place.archive, replace(place.destination, replace=True))
    with there.transaction() as connection:
        connection.execute(update(schedulers).values(lease_until=None))
    assert hashes(there) == changed
    restore(place.archive, replace(place.destination, replace=True))
    assert hashes(there) == hashes(place.origin.database)


def test_a_database_that_differs_afterwards_is_put_back(place: Place) -> None:
    """The archive agrees with its manifest, but the dump does not have the rows that the manifest names."""
    made(place)
    restore(place.archive, place.destination)
    there = place.destination.database
    with there.transaction() as connection:
        connection.execute(insert(schedulers).values(id="s", name="host:1", heartbeat_at=RECORDED, token=1))
    kept = hashes(there)

    def change(manifest: dict[str, Any]) -> None:
        manifest["tables"]["scores"]["sha256"] = "0" * 64

    altered = rewritten(place, change)
    with pytest.raises(LedgerError, match="scores has 3 rows that differ from the 3 of the manifest"):
        restore(altered, replace(place.destination, replace=True))
    assert hashes(there) == kept


def rewritten(
    place: Place, change: Callable[[dict[str, Any]], object], members: Callable[[dict[str, bytes]], object] = len
) -> Path:
    """Write the archive again, with another manifest or other members."""
    with tarfile.open(place.archive) as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    manifest = json.loads(found["manifest.json"])
    change(manifest)
    found["manifest.json"] = json.dumps(manifest).encode()
    members(found)
    path = place.archive.with_name("altered.tar")
    with tarfile.open(path, "w") as archive:
        for name, body in found.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, BytesIO(body))
    return path


def flip(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(members: dict[str, bytes]) -> None:
        key = next(key for key in members if key.endswith(name))
        members[key] = members[key][:-1] + bytes([members[key][-1] ^ 1])

    return change


def rename(manifest: dict[str, Any], name: str) -> None:
    key = next(iter(manifest["artifacts"]))
    manifest["artifacts"] = {name: manifest["artifacts"][key]}


SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize(
    ("change", "members", "message"),
    [
        (len, flip("weights.npz"), r"weights\.npz was altered: its hash is"),
        (len, flip("database.sqlite"), r"database\.sqlite was altered: its hash is"),
        (len, lambda found: found.popitem(), "was expected, found the end; it was altered"),
        (len, lambda found: found.update({"../evil": b"x"}), "has more files than its manifest names"),
        (lambda m: rename(m, "artifacts/../../evil"), len, "its manifest cannot be used .artifacts"),
        (lambda m: rename(m, "/etc/passwd"), len, "its manifest cannot be used .artifacts"),
        (lambda m: rename(m, "artifacts/.hidden/x"), len, "its manifest cannot be used .artifacts"),
        (lambda m: m["dump"].update(size=10**14), len, "bytes in .*, .* are free"),
        (lambda m: m.update(format=2), len, "its manifest cannot be used .format"),
        (lambda m: m.update(migration="9001"), len, "is at migration 9001, this version knows up to"),
        (lambda m: m["tables"]["scores"]["columns"].append("luck"), len, "has scores.luck, which this version"),
        (lambda m: m.update(database="postgresql"), len, "is of a postgresql database, the settings name a sqlite"),
        (lambda m: m.update(source="yahoo"), len, "is of source yahoo with the replay clock"),
        (lambda m: m["editions"].update(number=4), len, "the heads of its hash chains differ"),
    ],
)  # fmt: skip
def test_an_altered_archive_is_refused_and_writes_nothing(
    place: Place, change: Callable[..., object], members: Callable[..., object], message: str
) -> None:
    made(place)
    with pytest.raises(TplusError, match=message):
        restore(rewritten(place, change, members), place.destination)
    left = [path for path in place.destination.store.parent.rglob("*") if path.is_file()]
    assert left == []
    assert not (place.archive.parent / "evil").exists()


@SQLITE
def test_a_file_that_is_no_archive_is_refused(place: Place) -> None:
    for text, message in ((b"notes", "is not an archive"), (b"", "is not an archive"), (None, "No such file")):
        path = place.archive.with_name("notes.tar")
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_bytes(text)
        with pytest.raises(LedgerError, match=message):
            restore(path, place.destination)
    link = place.archive.with_name("link.tar")
    with tarfile.open(link, "w") as archive:
        member = tarfile.TarInfo("manifest.json")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(LedgerError, match="does not begin with manifest"):
        restore(link, place.destination)


@SQLITE
def test_an_altered_model_is_left_out_and_named(place: Place) -> None:
    weights = place.model / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    manifest = made(place)
    assert len(manifest.left_out) == 2
    assert "was altered" in manifest.left_out[1]
    assert manifest.artifacts == {}


@SQLITE
def test_a_backup_never_replaces_a_file_and_a_damaged_database_is_named(place: Place) -> None:
    place.archive.write_text("something else")
    with pytest.raises(LedgerError, match="exists; name another file"):
        back_up(place.origin, place.archive, RECORDED)
    assert place.archive.read_text() == "something else"
    missing = Database(f"sqlite:///{place.archive.parent / 'none.db'}")
    with pytest.raises(DatabaseError, match="there is no database"):
        back_up(replace(place.origin, database=missing), place.archive.parent, RECORDED)
    missing.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_missing_programs_are_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.backup.postgres_tools._DEBIAN", place.archive.parent / "none")
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(LedgerError, match="pg_dump is not installed; install PostgreSQL's client programs"):
        made(place)
    with pytest.raises(LedgerError, match="pg_restore is not installed"):
        restore(place.archive, place.destination)


@SQLITE
def test_another_source_is_refused_before_anything_is_copied(place: Place) -> None:
    made(place)
    with pytest.raises(StampMismatch, match="set TPLUS_SOURCE and TPLUS_CLOCK to match"):
        restore(place.archive, replace(place.destination, source="sample"))
