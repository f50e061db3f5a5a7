"""A champion that changed, from the decision that changes it."""

from dataclasses import dataclass

from sqlalchemy import Connection

from service.alerts.outbox import AlertEvent, Instants, emit
from service.vocabulary import AlertKind


@dataclass(frozen=True, slots=True)
class ChampionChange:
    """A version that serves instead of another.

    Attributes:
        group: Training group.
        strategy: Strategy.
        version_id: The new champion.
        forecaster: Its forecaster.
        before_id: The champion before it.
        before_forecaster: The forecaster of that one.
        reason: Why, one sentence.
    """

    group: str
    strategy: str
    version_id: int
    forecaster: str
    before_id: int
    before_forecaster: str
    reason: str


def emit_champion(connection: Connection, change: ChampionChange, at: Instants) -> None:
    """Emit that a version became champion instead of another.

    Args:
        connection: The transaction of the decision.
        change: The change.
        at: The instants.
    """
    event = AlertEvent(
        AlertKind.CHAMPION_CHANGED,
        f"{change.group}:{change.strategy}:{change.before_id}:{change.version_id}:{at.machine_at:%Y%m%dT%H%M%S}",
        f"{change.group} {change.strategy}: {change.forecaster} (version {change.version_id}) serves instead of "
        f"{change.before_forecaster} (version {change.before_id}): {change.reason}",
        {
            "strategy": change.strategy,
            "model_version_id": change.version_id,
            "forecaster": change.forecaster,
            "before_model_version_id": change.before_id,
            "before_forecaster": change.before_forecaster,
            "reason": change.reason,
        },
        group=change.group,
    )
    emit(connection, [event], at)
