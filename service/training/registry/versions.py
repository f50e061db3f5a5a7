"""Reads and writes model versions and the decisions about them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, func, insert, select, update

from models.errors import ArtifactError
from models.training.train import TrainedArtifact
from service.alerts.detection.champions import ChampionChange, emit_champion
from service.alerts.outbox import Instants
from service.db.change_counters import raise_changes
from service.db.tables import model_decisions, model_versions
from service.runs import Run
from service.vocabulary import RANDOM_WALK, ModelStatus

BEFORE_NETWORK = "the random walk serves until a network is trained and accepted"
"""Reason of the first random walk; it is stored with editions, so it must stay true after a training."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version as the service uses it; see the table for the columns."""

    id: int
    group: str
    strategy: str
    forecaster: str
    config_hash: str
    status: ModelStatus
    reason: str
    artifact: str
    sha256: str
    trained_at: datetime
    metrics: Mapping[str, Any]
    specs: Mapping[str, Any]
    pinned_at: datetime | None = None

    @property
    def references(self) -> tuple[str, ...]:
        """Reference series it was made with, whatever the settings are now."""
        return tuple(symbol for symbol, _role in self.specs.get("references", ()))

    @property
    def is_network(self) -> bool:
        """Whether it is anything but the random walk."""
        return self.forecaster != RANDOM_WALK

    def folder(self, store: Path) -> Path:
        """Return its artifact's folder below the store.

        Raises:
            ArtifactError: The stored name is a path; nothing is opened.
        """
        return artifact_folder(store, self.artifact)


def artifact_folder(directory: Path, name: str) -> Path:
    """Return the folder of an artifact below the folder that holds artifacts.

    Args:
        directory: The folder that holds artifacts.
        name: Name of the artifact's folder, as stored in the database.

    Raises:
        ArtifactError: The name is a path, or contains other characters than those of a name.
    """
    if not _NAME.fullmatch(name):
        shown = name if len(name) <= 80 else f"{name[:80]}..."
        raise ArtifactError(
            f"the artifact name {shown!r} is not the name of a folder in {directory}; do not use this version, "
            "restore the database or train again"
        )
    return directory / name


@dataclass(frozen=True, slots=True)
class Decision:
    """New status of a version, and why."""

    status: ModelStatus
    reason: str
    figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """When and by which run a row is written.

    Attributes:
        market_at: Market time.
        machine_at: Machine time.
        run_id: The run; None without one.
    """

    market_at: datetime
    machine_at: datetime
    run_id: int | None

    @staticmethod
    def by(run: Run, market_at: datetime, machine_at: datetime) -> "Recorded":
        """Return the instants with a run's id."""
        return Recorded(market_at, machine_at, run.id)


def add_version(
    connection: Connection,
    group: str,
    trained: TrainedArtifact,
    trained_at: datetime,
    recorded: Recorded,
    *,
    for_backfill: bool = False,
) -> int:
    """Insert a trained artifact as a challenger and return its id; `decide` sets its status.

    A version `for_backfill` forecasts past sessions only and is part of no other version's calibration.
    """
    config = trained.config
    ranges = {"train": trained.train_dates, "validation": trained.validation_dates, "test": trained.test_dates}
    dates = {
        f"{span}_{end}": None if found is None else found[index]
        for span, found in ranges.items()
        for index, end in enumerate(("first", "last"))
    }
    values = {
        "group": group,
        "strategy": config.strategy.value,
        "forecaster": config.forecaster,
        "lookback": config.lookback,
        "horizon": config.horizon,
        "trained_at": trained_at,
        "recorded_at": recorded.machine_at,
        "data_until": None if trained.data_until is None else _instant(trained.data_until),
        "data_hash": trained.data_hash,
        "seeds": list(config.seeds),
        "specs": config.to_dict(),
        "config_hash": config.hash(),
        "metrics": _metrics(trained.metrics),
        "artifact": trained.path.name,
        "sha256": trained.sha256,
        "status": ModelStatus.CHALLENGER,
        "reason": "trained, not decided yet",
        "for_backfill": for_backfill,
        "run_id": recorded.run_id,
        **dates,
    }
    key = connection.execute(insert(model_versions).values(values)).inserted_primary_key
    raise_changes(connection, ())
    assert key is not None
    return int(key[0])


def _instant(value: np.datetime64) -> datetime:
    return datetime.fromtimestamp(int(value.astype("datetime64[s]").astype(np.int64)), UTC)


def _metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the test figures under the names of the API, and all others unchanged."""
    if "pinball" not in metrics:
        return dict(metrics)
    coverage = {f"test_coverage_{level}": float(np.mean(steps)) for level, steps in metrics["coverage"].items()}
    return {
        "test_n": metrics["n"],
        "test_pinball": metrics["pinball"],
        "test_random_walk_pinball": metrics["random_walk_pinball"],
        "test_skill": metrics["skill"],
        **coverage,
        "test": dict(metrics),
    }


def decide(connection: Connection, version_id: int, decision: Decision, recorded: Recorded) -> None:
    """Set a version's status and record the decision."""
    if decision.status == ModelStatus.CHAMPION:
        change = _champion_change(connection, version_id, decision.reason)
        if change is not None:
            emit_champion(connection, change, Instants(recorded.market_at, recorded.machine_at))
    connection.execute(
        update(model_versions)
        .where(model_versions.c.id == version_id)
        .values(status=decision.status, reason=decision.reason)
    )
    connection.execute(
        insert(model_decisions).values(
            model_version_id=version_id,
            decided_at=recorded.market_at,
            recorded_at=recorded.machine_at,
            status=decision.status,
            reason=decision.reason,
            figures=dict(decision.figures),
            run_id=recorded.run_id,
        )
    )
    raise_changes(connection, ())


def _champion_change(connection: Connection, version_id: int, reason: str) -> ChampionChange | None:
    """Return the change that makes a version champion, before the decision is written.

    None for the first champion, the same one again, and a random walk that replaces its own earlier fit.
    """
    table = model_versions.c
    new = connection.execute(
        select(table.id, table.group, table.strategy, table.forecaster).where(table.id == version_id)
    ).one()
    champions = (
        select(table.id, table.forecaster)
        .join(model_decisions, model_decisions.c.model_version_id == table.id)
        .where(table.group == new.group, table.strategy == new.strategy)
        .where(model_decisions.c.status == ModelStatus.CHAMPION)
        .order_by(model_decisions.c.id.desc())
    )
    before = connection.execute(champions.limit(1)).one_or_none()
    if before is None or before.id == new.id or {before.forecaster, new.forecaster} == {RANDOM_WALK}:
        return None
    return ChampionChange(new.group, new.strategy, new.id, new.forecaster, before.id, before.forecaster, reason)


def add_random_walk(
    connection: Connection, group: str, trained: TrainedArtifact, trained_at: datetime, recorded: Recorded
) -> int:
    """Insert a fitted random walk and return its id.

    It becomes champion unless a network is. The older random walks of its group and strategy are retired. Networks keep
    their status: only a training or a person changes it.
    """
    strategy = trained.config.strategy.value
    older = version_ids(connection, group, strategy, network=False)
    version_id = add_version(connection, group, trained, trained_at, recorded)
    serving = champion(connection, group, strategy)
    pinned = None if serving is None or serving.pinned_at is None else serving.id
    for older_id in older:
        if older_id == pinned:
            continue
        decide(connection, older_id, Decision(ModelStatus.RETIRED, f"replaced by version {version_id}", {}), recorded)
    if champion(connection, group, strategy) is None:
        decision = Decision(ModelStatus.CHAMPION, BEFORE_NETWORK, {})
    else:
        sentence = "a network serves" if pinned is None else f"version {pinned} is pinned"
        decision = Decision(ModelStatus.CHALLENGER, sentence, {})
    decide(connection, version_id, decision, recorded)
    return version_id


def serving_versions(connection: Connection, group: str) -> tuple[ModelVersion, ...]:
    """Return the versions that forecast for a group now.

    These are per strategy the champion, the newest challenger of each network and the newest random walk.
    """
    ranked = (
        select(
            model_versions.c.id,
            func.row_number()
            .over(
                partition_by=(
                    model_versions.c.strategy,
                    model_versions.c.status,
                    model_versions.c.forecaster,
                ),
                order_by=model_versions.c.id.desc(),
            )
            .label("place"),
        )
        .where(
            model_versions.c.group == group, model_versions.c.status.in_((ModelStatus.CHAMPION, ModelStatus.CHALLENGER))
        )
        .subquery()
    )
    query = (
        select(model_versions)
        .join(ranked, and_(ranked.c.id == model_versions.c.id, ranked.c.place == 1))
        .order_by(model_versions.c.strategy, model_versions.c.id)
    )
    return tuple(_version(row) for row in connection.execute(query))


def champion(connection: Connection, group: str, strategy: str) -> ModelVersion | None:
    """Return the champion of a group and strategy, None if there is none."""
    found = [
        v for v in serving_versions(connection, group) if v.strategy == strategy and v.status == ModelStatus.CHAMPION
    ]
    return found[0] if found else None


def previous_champions(connection: Connection, current: ModelVersion) -> tuple[ModelVersion, ...]:
    """Return the networks that were champion before a champion of the same strategy, newest first.

    Versions newer than it are left out: a rollback to it took them out of service.
    """
    query = (
        select(model_versions.c.id)
        .join(model_decisions, model_decisions.c.model_version_id == model_versions.c.id)
        .where(
            model_versions.c.group == current.group,
            model_versions.c.strategy == current.strategy,
            model_versions.c.forecaster != RANDOM_WALK,
            model_versions.c.status.in_((ModelStatus.CHALLENGER, ModelStatus.RETIRED)),
            ~model_versions.c.for_backfill,
            model_versions.c.id < current.id,
            model_decisions.c.status == ModelStatus.CHAMPION,
        )
        .group_by(model_versions.c.id)
        .order_by(func.max(model_decisions.c.id).desc())
    )
    found = (read_version(connection, version_id) for version_id in connection.execute(query).scalars().all())
    return tuple(version for version in found if version is not None)


def read_version(connection: Connection, version_id: int) -> ModelVersion | None:
    """Return a version by its id, None if there is none."""
    row = connection.execute(select(model_versions).where(model_versions.c.id == version_id)).one_or_none()
    return None if row is None else _version(row)


def has_network(connection: Connection, group: str) -> bool:
    """Return whether any network was ever trained for a group."""
    query = select(func.count()).where(model_versions.c.group == group, model_versions.c.forecaster != RANDOM_WALK)
    return bool(connection.execute(query).scalar_one())


def version_ids(connection: Connection, group: str, strategy: str, *, network: bool) -> list[int]:
    """Return the ids of the champions and challengers of a kind, oldest first."""
    kind = model_versions.c.forecaster != RANDOM_WALK if network else model_versions.c.forecaster == RANDOM_WALK
    query = (
        select(model_versions.c.id)
        .where(
            model_versions.c.group == group,
            model_versions.c.strategy == strategy,
            model_versions.c.status.in_((ModelStatus.CHAMPION, ModelStatus.CHALLENGER)),
            kind,
        )
        .order_by(model_versions.c.id)
    )
    return list(connection.execute(query).scalars())


def _version(row: Any) -> ModelVersion:
    return ModelVersion(
        row.id,
        row.group,
        row.strategy,
        row.forecaster,
        row.config_hash,
        ModelStatus(row.status),
        row.reason,
        row.artifact,
        row.sha256,
        row.trained_at,
        row.metrics,
        row.specs,
        row.pinned_at,
    )
