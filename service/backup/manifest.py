"""The manifest of a backup: what the archive contains, with a hash for every file and every table."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from service.db.row_hashes import Digest
from service.errors import LedgerError
from service.hash_chains.links import Head, Heads

NAME = "manifest.json"
MAX_BYTES = 64 * 2**20
"""Largest manifest that is read; a file of an artifact takes about 200 bytes."""

DUMPS = {"sqlite": "database.sqlite", "postgresql": "database.dump"}
"""Kind of database -> name of its dump in the archive."""

Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern="^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
Text = Annotated[str, StringConstraints(max_length=1000)]
FILE_PATTERN = r"^artifacts/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$"
"""Names of artifact files in an archive: a folder and a file, neither hidden nor `..`."""

ArtifactFile = Annotated[str, StringConstraints(pattern=FILE_PATTERN)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Part):
    """One file of the archive."""

    size: int = Field(ge=0, lt=2**50)
    sha256: Sha256


class TableEntry(_Part):
    """Content of one table, see `service.db.row_hashes`."""

    columns: list[Name] = Field(min_length=1, max_length=500)
    rows: int = Field(ge=0)
    sha256: Sha256

    @property
    def digest(self) -> Digest:
        """Its rows and hash."""
        return Digest(self.rows, self.sha256)


class HeadEntry(_Part):
    """Head of one hash chain."""

    number: int = Field(ge=0, lt=2**63)
    hash: Sha256


class Manifest(_Part):
    """What a backup contains."""

    format: Literal[1] = 1
    version: Text
    migration: Annotated[str, StringConstraints(pattern="^[0-9]{4}$")]
    database: Literal["sqlite", "postgresql"]
    source: Text | None
    clock: Text | None
    created_at: datetime
    market_time: datetime | None
    dump: FileEntry
    tables: dict[Name, TableEntry] = Field(max_length=1000)
    artifacts: dict[ArtifactFile, FileEntry] = Field(max_length=1_000_000)
    left_out: list[Text] = Field(max_length=1_000_000)
    editions: HeadEntry
    score_batches: HeadEntry

    @property
    def heads(self) -> Heads:
        """Heads of both hash chains."""
        return Heads(
            Head(self.editions.number, self.editions.hash), Head(self.score_batches.number, self.score_batches.hash)
        )

    @property
    def files(self) -> dict[str, FileEntry]:
        """Every file of the archive but the manifest, in its order."""
        return {DUMPS[self.database]: self.dump, **self.artifacts}


def parse(body: bytes, where: str) -> Manifest:
    """Return a manifest from its JSON.

    Raises:
        LedgerError: it is malformed, or of another format.
    """
    try:
        return Manifest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:200]
        raise LedgerError(
            f"{where}: its manifest cannot be used ({field}: {first['msg']}); use an archive of `tplus db backup` as "
            "it was written"
        ) from error
