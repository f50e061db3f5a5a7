"""Returns the model versions of a past instant whose data end before it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select

from models.config import Strategy
from service.db.tables import model_decisions, model_versions
from service.training.registry.versions import ModelVersion, read_version
from service.vocabulary import RANDOM_WALK, ModelStatus


@dataclass(frozen=True, slots=True)
class _PastDecision:
    """A decision on a version, with the end of the version's data."""

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
    """Return the versions that served or competed at a past instant.

    These are per strategy the champion, the newest network challenger and the newest random walk. The last decision on
    each version at or before the instant counts. Versions whose training, validation or test data reach up to the
    instant are left out. Decisions of a training at that very instant, which happens under replay, do not count: the
    earlier version serves.

    Args:
        connection: Any connection.
        group: The group.
        instant: Aware UTC market time, as_of's final instant.

    Returns:
        Versions with the status and reason they had then, by strategy and id; none if no version qualifies.
    """
    decisions = _decisions(connection, group, instant)
    # Strategies that were trained at the instant itself.
    trained_then = {d.strategy for d in decisions if d.decided_at == instant and d.has_seen(instant)}
    found: list[ModelVersion] = []
    for strategy in Strategy:
        own = [decision for decision in decisions if decision.strategy == strategy.value]
        counted = [decision for decision in own if decision.decided_at < instant or strategy.value not in trained_then]
        last = {decision.version: decision for decision in counted if not decision.has_seen(instant)}
        for chosen in _choose(last.values()):
            version = read_version(connection, chosen.version)
            assert version is not None  # a decision refers to it
            found.append(replace(version, status=ModelStatus(chosen.status), reason=chosen.reason))
    return tuple(found)


def _decisions(connection: Connection, group: str, until: datetime) -> list[_PastDecision]:
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
    return [_PastDecision(*row) for row in connection.execute(query)]


def _choose(last_decisions: Iterable[_PastDecision]) -> list[_PastDecision]:
    """Return the champion, the newest network challenger and the newest random walk, by id."""
    active = sorted(
        (decision for decision in last_decisions if decision.status in (ModelStatus.CHAMPION, ModelStatus.CHALLENGER)),
        key=lambda decision: decision.version,
    )
    champions = [decision for decision in active if decision.status == ModelStatus.CHAMPION]
    challengers = [decision for decision in active if decision.status == ModelStatus.CHALLENGER and decision.is_network]
    walks = [decision for decision in active if not decision.is_network]
    kept = {newest.version: newest for kind in (champions, challengers, walks) for newest in kind[-1:]}
    return [kept[version] for version in sorted(kept)]
