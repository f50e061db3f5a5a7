"""A champion that changed, from the decision that changes it."""

from sqlalchemy import Connection, select

from service.alerts.outbox import AlertEvent, Instants, emit, wanting
from service.db.tables import model_decisions, model_versions
from service.vocabulary import RANDOM_WALK, AlertKind, ModelStatus


def emit_champion(connection: Connection, version_id: int, reason: str, at: Instants) -> None:
    """Emit that a version became champion instead of another.

    Left out are the first champion, the same one again, and a random walk that replaces its own earlier fit.

    Args:
        connection: The transaction of the decision, before the decision is written.
        version_id: The new champion.
        reason: Why.
        at: The instants.
    """
    if not wanting(connection, AlertKind.CHAMPION_CHANGED):
        return
    table = model_versions.c
    new = connection.execute(
        select(table.id, table.group, table.strategy, table.forecaster).where(table.id == version_id)
    ).one()
    query = (
        select(table.id, table.forecaster)
        .join(model_decisions, model_decisions.c.model_version_id == table.id)
        .where(table.group == new.group, table.strategy == new.strategy)
        .where(model_decisions.c.status == ModelStatus.CHAMPION)
        .order_by(model_decisions.c.id.desc())
    )
    before = connection.execute(query.limit(1)).one_or_none()
    if before is None or before.id == new.id or {before.forecaster, new.forecaster} == {RANDOM_WALK}:
        return
    event = AlertEvent(
        AlertKind.CHAMPION_CHANGED,
        f"{new.group}:{new.strategy}:{before.id}:{new.id}:{at.machine_at:%Y%m%dT%H%M%S}",
        f"{new.group} {new.strategy}: {new.forecaster} (version {new.id}) serves instead of {before.forecaster} "
        f"(version {before.id}): {reason}",
        {
            "strategy": new.strategy,
            "model_version_id": new.id,
            "forecaster": new.forecaster,
            "before_model_version_id": before.id,
            "before_forecaster": before.forecaster,
            "reason": reason,
        },
        group=new.group,
    )
    emit(connection, [event], at)
