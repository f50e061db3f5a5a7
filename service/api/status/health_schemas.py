"""Liveness and readiness."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from service.api.common.base import Answer


class Alive(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(Answer):
    """The database answers and stands at the migration this version needs; freshness is told, not required."""

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
