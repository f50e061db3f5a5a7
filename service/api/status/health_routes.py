"""GET /healthz and /readyz."""

from fastapi import APIRouter
from sqlalchemy import Connection

from service.api.common import control_queries as control
from service.api.common.dependencies import ReaderDependency
from service.api.common.errors import database_fault
from service.api.common.problem import problems
from service.api.status.health_schemas import Alive, Ready
from service.db.revision import HEAD
from service.errors import DatabaseError

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Liveness")
async def alive() -> Alive:
    """The process answers; nothing else is touched."""
    return Alive()


@router.get("/readyz", summary="Readiness", responses=problems())
def ready(reader: ReaderDependency) -> Ready:
    """The database answers and stands at the migration this version needs; freshness is told, not required."""
    fault = database_fault(reader.database)
    if fault is not None:
        raise DatabaseError(fault)
    with reader.database.reading() as connection:
        return _freshness(connection)


def _freshness(connection: Connection) -> Ready:
    stamp = control.stamp_row(connection)
    if stamp is None:
        return Ready(migration=HEAD)
    replay, edition = control.replay_row(connection), control.newest_edition(connection)
    return Ready(
        migration=HEAD,
        source=stamp.source,
        clock=stamp.clock_mode,
        market_time=None if replay is None else replay.now,
        record_end=None if replay is None else replay.record_end,
        newest_edition=None if edition is None else edition.number,
        newest_as_of=None if edition is None else edition.as_of,
        newest_issued_at=None if edition is None else edition.issued_at,
        scheduler_heartbeat_at=control.newest_heartbeat(connection),
    )
