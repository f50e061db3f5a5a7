"""Chooses the model versions of a past session.

The version that served then is used if its data end before the session, else a random walk.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select

from models.config import Strategy
from models.errors import ArtifactError
from models.forecasting.artifact import load_artifact
from service.clock import instant_text
from service.db.change_counters import lock_changes
from service.db.tables import model_versions
from service.runtime.context import ServiceContext
from service.training.first_random_walk import fit_random_walks
from service.training.registry.point_in_time import versions_at
from service.training.registry.versions import (
    Decision,
    ModelVersion,
    Recorded,
    add_version,
    decide,
    read_version,
)
from service.vocabulary import RANDOM_WALK, ModelStatus

_REASON = "fitted for a backfill: it never serves on time"


class PointInTimeVersions:
    """The model versions of one backfill.

    Args:
        context: The service's parts.
        cut_at: Aware UTC market time before the first session's final instant: the substitute random walk uses
            only bars final by then (inclusive); there is one per group for the whole backfill.
    """

    def __init__(self, context: ServiceContext, cut_at: datetime) -> None:
        self._context = context
        self._cut_at = cut_at
        self._usable: dict[int, bool] = {}
        self._walks: dict[str, dict[str, ModelVersion]] = {}

    def at(self, group: str, instant: datetime) -> tuple[ModelVersion, ...]:
        """Return a group's versions for the session that is final at an instant.

        Each strategy has a random walk, and one version is champion: the champion of that time, else the random walk.

        Args:
            group: The group.
            instant: Aware UTC market time, as_of's final instant.
        """
        with self._context.database.reading() as connection:
            past = versions_at(connection, group, instant)
        candidates = [version for version in past if self._is_usable(version)]
        found: list[ModelVersion] = []
        for strategy in Strategy:
            own = [version for version in candidates if version.strategy == strategy.value]
            walks = [version for version in own if not version.is_network]
            walk = walks[-1] if walks else replace(self._substitute(group, strategy), status=ModelStatus.CHALLENGER)
            others = [version for version in own if version.id != walk.id]
            if not any(version.status == ModelStatus.CHAMPION for version in own):
                walk = replace(walk, status=ModelStatus.CHAMPION, reason=self._reason(bool(walks)))
            found += [*others, walk]
        return tuple(found)

    def _reason(self, has_walk: bool) -> str:
        if has_walk:
            return "the random walk serves: no champion of that time has data that end before this session"
        return (
            "the random walk serves, fitted for this backfill up to "
            f"{instant_text(self._cut_at)}: no version's data end before this session"
        )

    def _is_usable(self, version: ModelVersion) -> bool:
        """Return whether a version's artifact can be loaded; report a fault once."""
        if version.id not in self._usable:
            fault = _fault(self._context, version)
            self._usable[version.id] = fault is None
            if fault is not None:
                self._context.reporter.notice(f"model version {version.id} cannot be used for the backfill: {fault}")
        return self._usable[version.id]

    def _substitute(self, group: str, strategy: Strategy) -> ModelVersion:
        if group not in self._walks:
            self._walks[group] = backfill_random_walks(self._context, group, self._cut_at)
        return self._walks[group][strategy.value]


def backfill_random_walks(context: ServiceContext, group: str, cut_at: datetime) -> dict[str, ModelVersion]:
    """Return a group's random walks for backfills by strategy.

    Missing ones are fitted and recorded. They are retired from the start: they never serve on time, and no other
    version continues with their calibration.

    Args:
        context: The service's parts.
        group: The group.
        cut_at: Only bars final by this market-time instant (inclusive) are used.
    """
    with context.database.reading() as connection:
        stored = _stored(connection, group, cut_at)
    found = _by_strategy(version for version in stored if _fault(context, version) is None)
    if len(found) == len(Strategy):
        return found
    trained = fit_random_walks(context, group, cut_at)
    with context.database.transaction() as connection:
        lock_changes(connection)  # two concurrent backfills use the random walks that are recorded first
        before = {version.id for version in stored}
        concurrent = _by_strategy(v for v in _stored(connection, group, cut_at) if v.id not in before)
        if len(concurrent) == len(Strategy):
            return concurrent
        recorded = Recorded(context.market.now(connection), context.machine.now(connection), None)
        for artifact in trained:
            version_id = add_version(connection, group, artifact, cut_at, recorded, for_backfill=True)
            decide(connection, version_id, Decision(ModelStatus.RETIRED, _REASON, {}), recorded)
        return _by_strategy(v for v in _stored(connection, group, cut_at) if v.id not in before)


def _stored(connection: Connection, group: str, cut_at: datetime) -> list[ModelVersion]:
    """Return the random walks for backfills up to an instant, oldest first."""
    query = select(model_versions.c.id).where(
        model_versions.c.group == group,
        model_versions.c.forecaster == RANDOM_WALK,
        model_versions.c.for_backfill,
        model_versions.c.trained_at == cut_at,
    )
    ids = connection.execute(query.order_by(model_versions.c.id)).scalars().all()
    return [version for version in (read_version(connection, version_id) for version_id in ids) if version is not None]


def _by_strategy(versions: Iterable[ModelVersion]) -> dict[str, ModelVersion]:
    """Return the newest version of each strategy."""
    return {version.strategy: version for version in versions}


def _fault(context: ServiceContext, version: ModelVersion) -> str | None:
    """Return why an artifact cannot be loaded, None if it can."""
    try:
        load_artifact(version.folder(context.settings.artifact_dir), version.sha256)
    except ArtifactError as error:
        return str(error)
    return None
