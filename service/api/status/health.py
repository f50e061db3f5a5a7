"""GET /healthz and /readyz: liveness and readiness."""

from datetime import date, datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection

from service.api.common import queries
from service.api.common.dependencies import ReaderDependency
from service.api.common.errors import database_fault
from service.api.common.schemas import Answer, problems
from service.db.revision import HEAD
from service.errors import DatabaseError

router = APIRouter(tags=["health"])


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(Answer):
    """The database answers and is at this version's migration; freshness is reported, not required."""

    status: Literal["ready"] = "ready"
    migration: str = Field(examples=["0001"])
    source: str | None = Field(None, examples=["sample"])
    clock: str | None = Field(None, description="system or replay", examples=["replay"])
    market_time: datetime | None = None
    record_end: date | None = Field(None, description="last session of a replayed record")
    newest_edition: int | None = Field(None, examples=[412])
    newest_as_of: date | None = Field(None, examples=["2018-06-01"])
    newest_issued_at: datetime | None = None
    scheduler_heartbeat_at: datetime | None = Field(None, description="machine time")


@router.get("/healthz", summary="Liveness")
async def get_liveness() -> Alive:
    """The process answers; the database is not read."""
    return Alive()


@router.get("/readyz", summary="Readiness", responses=problems())
def get_readiness(reader: ReaderDependency) -> Ready:
    """The database answers and is at this version's migration; freshness is reported, not required."""
    fault = database_fault(reader.database)
    if fault is not None:
        raise DatabaseError(fault.sentence)
    with reader.database.reading() as connection:
        return _freshness(connection)


def _freshness(connection: Connection) -> Ready:
    stamp = queries.read_stamp(connection)
    if stamp is None:
        return Ready(migration=HEAD)
    replay, edition = queries.read_replay_clock(connection), queries.read_newest_edition(connection)
    return Ready(
        migration=HEAD,
        source=stamp.source,
        clock=stamp.clock_mode,
        market_time=None if replay is None else replay.now,
        record_end=None if replay is None else replay.record_end,
        newest_edition=None if edition is None else edition.number,
        newest_as_of=None if edition is None else edition.as_of,
        newest_issued_at=None if edition is None else edition.issued_at,
        scheduler_heartbeat_at=queries.read_newest_heartbeat(connection),
    )
