"""Tampered artifacts: each is refused before anything parses it, with a reason, and the champion before it serves.

A service with two network champions, one after the other, is tampered with in every way: each byte of the newest
artifact flipped, files cut, swapped and replaced by links, pipes and holes, archives and documents that are crafted
and carry the expected hash, and paths in the row's artifact name, in the manifest and in the archive. After each, a
forecast run publishes: the earlier champion must serve, with the reason, and every parser that was entered with
altered bytes is counted. Run from the repository's root:

    python -m benchmarks.reliability.tampered_artifacts [--quick]

It prints one JSON document, and exits with 1 if a bar is missed.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from benchmarks.reliability.malformed.tamperings import FILES, Tampering, Version, set_row, tamperings
from models.config import Strategy
from models.errors import ArtifactError
from models.forecasting import artifact, weight_archive
from models.forecasting.network_forecaster import load_forecaster
from models.training.tasks import _loaded
from service.db.session import Database
from service.db.tables import config_approvals, model_versions, served_forecasts
from service.training.registry.approvals import approval_key
from service.training.registry.versions import Decision, Recorded, decide, read_version
from service.vocabulary import ModelStatus
from tests.support.forecast_factory import NOON, History, open_desk, random_closes, sessions_until, utc
from tests.support.sqlite_template import make_template

LAST = date(2018, 5, 31)


@dataclass
class Tally:
    """What happened to the tampered artifacts."""

    refused: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    parsed_first: list[str] = field(default_factory=list)
    not_served: list[str] = field(default_factory=list)
    forecasts: int = 0


@contextmanager
def counting() -> Iterator[list[str]]:
    """Yield a list that gets the name of each parser that is entered."""
    entered: list[str] = []
    loads, unpack = json.loads, artifact.unpack_weights  # type: ignore[attr-defined]

    class Json:
        """The module `json` of the artifact module, which notes what is parsed."""

        JSONDecodeError = json.JSONDecodeError
        dumps = staticmethod(json.dumps)

        @staticmethod
        def loads(body: Any, **options: Any) -> Any:
            """Note and parse."""
            entered.append("json")
            return loads(body, **options)

    def unpacking(body: bytes) -> Any:
        entered.append("archive")
        return unpack(body)

    artifact.json, artifact.unpack_weights = Json, unpacking  # type: ignore[assignment, attr-defined]
    try:
        yield entered
    finally:
        artifact.json, artifact.unpack_weights = json, weight_archive.unpack_weights  # type: ignore[attr-defined]


class Trial:
    """A service with an accepted champion and a newer one, which is tampered with."""

    def __init__(self, database: Database, folder: Path, sessions: int) -> None:
        self.desk = open_desk(database, folder)
        self._days = sessions_until(LAST, sessions + 1)
        self.desk.add(History("AAA", LAST, random_closes(320 + sessions, 1)))
        self._move(self._days[0])
        self.desk.forecast(self._days[0])  # fits the random walks
        with database.transaction() as connection:
            own = model_versions.c.strategy == "multi_step"
            connection.execute(update(model_versions).where(own).values(status="challenger"))
        self.earlier = self.desk.add_network(Strategy.MULTI_STEP, "champion", seed=1)
        with database.transaction() as connection:
            found = read_version(connection, self.earlier)
            assert found is not None
            key = approval_key(found)
            connection.execute(
                insert(config_approvals).values(
                    group=key.group, strategy=key.strategy, config_hash=key.config_hash, forecaster=key.forecaster,
                    kind="attempt", attempt=1, accepted=True, sessions=60, reason="by the trial", evidence={},
                    decided_at=NOON, recorded_at=NOON,
                )
            )  # fmt: skip
            decide(connection, self.earlier, Decision(ModelStatus.RETIRED, "replaced", {}), Recorded(NOON, NOON, None))
        newest = self.desk.add_network(Strategy.MULTI_STEP, "champion", seed=2)
        with database.reading() as connection:
            row = connection.execute(select(model_versions).where(model_versions.c.id == newest)).one()
        self.newest = Version(newest, self.desk.context.settings.artifact_dir / row.artifact, row.sha256)
        self._row = {"artifact": row.artifact, "sha256": row.sha256}
        self._edition = 1

    def _move(self, session: date) -> None:
        self.desk.move(utc(session.year, session.month, session.day, 22))

    @contextmanager
    def tampered(self, tampering: Tampering, backup: Path) -> Iterator[None]:
        """Tamper for the block, then restore."""
        tampering.do(self.desk, self.newest)
        try:
            yield
        finally:
            shutil.rmtree(self.newest.folder)
            (self.newest.folder.parent / "moved").unlink(missing_ok=True)
            shutil.copytree(backup, self.newest.folder)
            set_row(self.desk, self.newest, self._row)

    def load(self) -> str:
        """Load the newest version as its row says; return the reason of the refusal, empty if it was not refused."""
        with self.desk.database.reading() as connection:
            version = read_version(connection, self.newest.id)
        assert version is not None
        try:
            load_forecaster(version.folder(self.desk.context.settings.artifact_dir), version.sha256)
        except ArtifactError as error:
            return str(error)
        return ""

    def serves_earlier(self) -> str:
        """Forecast the next session; return what is wrong with what is served, empty if nothing."""
        _loaded.cache_clear()  # as in a restarted worker
        self._edition += 1
        session = self._days[self._edition - 1]
        self._move(session)
        state = self.desk.forecast(session)["AAA"].state
        served = self.desk.rows(served_forecasts, edition=self._edition, strategy="multi_step")
        if state != "forecast" or [row.model_version_id for row in served] != [self.earlier]:
            return f"{state}, served by {[row.model_version_id for row in served]}"
        reason: str = served[0].reason
        return "" if "the champion before it, serves: " in reason else f"the reason is {reason!r}"


def try_tampering(folder: Path, template: Path, every: int, forecast_every: int = 1) -> Tally:
    """Tamper in every way and return what happened.

    Args:
        folder: Folder for the data.
        template: SQLite file at the newest migration.
        every: Each how many-th byte is flipped.
        forecast_every: For each how many-th kind a forecast run is done.
    """
    shutil.copyfile(template, folder / "trial.db")
    database, tally, backup = Database(f"sqlite:///{folder / 'trial.db'}"), Tally(), folder / "backup"
    kinds: set[str] = set()
    trial = Trial(database, folder, 60)
    shutil.copytree(trial.newest.folder, backup)
    sizes = {name: (backup / name).stat().st_size for name in FILES}
    for tampering in tamperings(sizes, every):
        with trial.tampered(tampering, backup), counting() as entered:
            if not trial.load():
                tally.accepted.append(tampering.name)
            elif not tampering.parsed and entered not in ([], ["json"] if "manifest" not in tampering.name else []):
                tally.parsed_first.append(f"{tampering.name}: {entered}")
            tally.refused[tampering.name] += 1
            if tampering.name not in kinds:  # a forecast run for each kind
                kinds.add(tampering.name)
                if len(kinds) % forecast_every:
                    continue
                wrong = trial.serves_earlier()
                tally.forecasts += 1
                if wrong:
                    tally.not_served.append(f"{tampering.name}: {wrong}")
    database.close()
    return tally


def document(tally: Tally) -> dict[str, Any]:
    """Return the figures."""
    flipped = sum(count for name, count in tally.refused.items() if name.startswith("flipped"))
    return {
        "tampered": sum(tally.refused.values()), "flipped_bytes": flipped, "kinds": len(tally.refused),
        "accepted": len(tally.accepted), "altered_bytes_parsed": len(tally.parsed_first),
        "forecast_runs": tally.forecasts, "earlier_champion_did_not_serve": len(tally.not_served),
        "examples": [*tally.accepted[:10], *tally.parsed_first[:10], *tally.not_served[:10]],
    }  # fmt: skip


def misses(tally: Tally) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = {
        "tampered artifacts are accepted": tally.accepted, "are parsed before they are refused": tally.parsed_first,
        "forecast runs are not served by the champion before": tally.not_served,
    }  # fmt: skip
    return [f"{len(faults)} {sentence}" for sentence, faults in found.items() if faults]


def main() -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="each 97th byte is flipped instead of each")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        template = make_template(Path(name))
        tally = try_tampering(Path(name), template, 97 if arguments.quick else 1)
    figures = document(tally) | {"seconds": round(time.monotonic() - began), "missed": misses(tally)}
    print(json.dumps(figures, indent=1))
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
