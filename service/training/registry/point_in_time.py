"""Returns the model versions of a past instant that had not seen later data."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from models.config import Strategy
from service.db.tables import model_decisions, model_versions
from service.training.registry.versions import ModelVersion, read_version
from service.vocabulary import RANDOM_WALK, ModelStatus


@dataclass(frozen=True, slots=True)
class _Decided:
    """One decision, with the data span of its version."""

    version: int
    status: str
    reason: str
    decided_at: datetime
    strategy: str
    forecaster: str
    data_until: datetime | None

    @property
    def is_network(self) -> bool:
        return self.forecaster != RANDOM_WALK

    def has_seen(self, instant: datetime) -> bool:
        """Return whether its data reach up to an instant (inclusive), or are unknown."""
        if self.data_until is None:
            return self.is_network  # a random walk without data forecasts with the normal distribution
        return self.data_until >= instant


def versions_at(connection: Connection, group: str, instant: datetime) -> tuple[ModelVersion, ...]:
    """Return per strategy the champion, the newest network challenger and the newest random walk of a past instant.

    The last decision on each version at or before the instant counts. Versions whose training, validation or test data
    reach up to the instant are left out. Decisions of a training at that very instant, which happens under replay, do
    not count: the earlier version serves.

    Args:
        connection: Any connection.
        group: The group.
        instant: Aware UTC market time, as_of's final instant.

    Returns:
        Versions with the status and reason they had then, by strategy and id; none if no version qualifies.
    """
    decided = _decided(connection, group, instant)
    early = {one.strategy for one in decided if one.decided_at == instant and one.has_seen(instant)}
    found: list[ModelVersion] = []
    for strategy in Strategy:
        own = [one for one in decided if one.strategy == strategy.value]
        counted = [one for one in own if one.decided_at < instant or strategy.value not in early]
        approval = {one.version: one for one in counted if not one.has_seen(instant)}
        for chosen in _chosen(approval.values()):
            version = read_version(connection, chosen.version)
            assert version is not None  # a decision refers to it
            found.append(replace(version, status=chosen.status, reason=chosen.reason))
    return tuple(found)


def _decided(connection: Connection, group: str, until: datetime) -> list[_Decided]:
    """Return the decisions on a group's versions up to an instant (inclusive), in order."""
    query = (
        select(
            model_decisions.c.model_version_id,
            model_decisions.c.status,
            model_decisions.c.reason,
            model_decisions.c.decided_at,
            model_versions.c.strategy,
            model_versions.c.forecaster,
            model_versions.c.data_until,
        )
        .join(model_versions, model_versions.c.id == model_decisions.c.model_version_id)
        .where(model_versions.c.group == group, model_decisions.c.decided_at <= until)
        .order_by(model_decisions.c.decided_at, model_decisions.c.id)
    )
    return [_Decided(*row) for row in connection.execute(query)]


def _chosen(approval: Iterable[_Decided]) -> list[_Decided]:
    """Return the champion, the newest network challenger and the newest random walk of last decisions, by id."""
    active = sorted(
        (one for one in approval if one.status in (ModelStatus.CHAMPION, ModelStatus.CHALLENGER)),
        key=lambda one: one.version,
    )
    champions = [one for one in active if one.status == ModelStatus.CHAMPION]
    challengers = [one for one in active if one.status == ModelStatus.CHALLENGER and one.is_network]
    walks = [one for one in active if not one.is_network]
    kept = {one.version: one for kind in (champions, challengers, walks) for one in kind[-1:]}
    return [kept[version] for version in sorted(kept)]
