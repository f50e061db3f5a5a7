"""The status of the service, in one document."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from service.api.common.schemas import Answer, Mode

FaultKind = Literal["unreachable", "rate_limited", "partial"]


class EditionStatus(Answer):
    """The newest on-time edition."""

    number: int = Field(examples=[412])
    calendar: str = Field(examples=["XNYS"])
    as_of: date = Field(description="last completed session it used", examples=["2018-06-01"])
    issued_at: datetime = Field(description="market time")
    mode: Mode


class CalendarStatus(Answer):
    """The newest on-time edition of a calendar with symbols on the watchlist."""

    calendar: str = Field(examples=["XNYS"])
    time_zone: str = Field(description="IANA time zone of the calendar", examples=["America/New_York"])
    as_of: date = Field(description="last completed session it used", examples=["2018-06-01"])
    issued_at: datetime = Field(description="market time")
    mode: Mode
    stale_after: datetime | None = Field(description="due time of the calendar's next forecast run + 2 h")
    stale: bool = Field(description="whether market time has passed stale_after")
    next_edition_at: datetime | None = Field(description="market time at which its next forecast run is due")
    next_edition_in_seconds: float | None = Field(description="real seconds until then, as for all calendars")


class SchedulerStatus(Answer):
    """Whether a scheduler is alive."""

    alive: bool = Field(description="whether the newest heartbeat is younger than a lease")
    heartbeat_at: datetime | None = Field(None, description="machine time")


class WatchlistStatus(Answer):
    """Symbols of the watchlist by state."""

    active: int = Field(examples=[51])
    with_forecast: int = Field(description="those with at least one on-time forecast", examples=[50])
    suspect: int = Field(examples=[0])
    failing: int = Field(examples=[1])
    unknown: int = Field(examples=[0])


class TrainingStatus(Answer):
    """A running training."""

    group: str = Field(examples=["equity"])
    run_id: int = Field(examples=[41])
    since: datetime = Field(description="machine time")
    progress: float | None = Field(None, description="share of the work done, 0 to 1", examples=[0.42])
    detail: str | None = Field(None, examples=["multi_step, seed 1, epoch 7"])
    first: bool = Field(description="whether the group is to have its first network")


class SourceFault(Answer):
    """A fault that keeps prices from arriving."""

    sentence: str = Field(examples=["prices of XNYS are not arriving: no symbol could be pulled; AAPL: timed out"])
    kind: FaultKind = Field(
        description="unreachable: it answered for no symbol of the newest pull; rate_limited: it limits the rate; "
        "partial: all else",
        examples=["unreachable"],
    )
    since: datetime | None = Field(description="machine time at which the first pull since the last done one started")
    next_try_at: datetime | None = Field(
        None, description="machine time of the next try; null while one runs, or if the next pull is the next session's"
    )


class FailedRun(Answer):
    """The newest failed run without a later successful run of its job and scope."""

    run_id: int = Field(examples=[41])
    job: str = Field(description="pull, score, forecast, train or backfill", examples=["train"])
    scope: str = Field(description="a calendar, or a group for train", examples=["equity"])
    session: date | None = Field(examples=["2018-06-01"])
    error: str | None = Field(description="what went wrong, in one sentence")
    finished_at: datetime | None = Field(description="machine time")


class Status(Answer):
    """The status of the service."""

    notice_kind: Literal["empty"] | None = Field(None, description="empty: the database is not set up, see notice")
    notice: str | None = Field(None, description="what to do while the database is empty")
    now: datetime | None = Field(None, description="market time; null while the database is empty")
    clock: str = Field(description="system or replay", examples=["replay"])
    source: str = Field(examples=["sample"])
    version: str = Field(description="of the service", examples=["0.1.0"])
    record_end: date | None = Field(None, description="last session of a replayed record")
    record_ended: bool = Field(False, description="whether market time has reached the end of the record")
    speed: float | None = Field(None, description="replay: real seconds per day that has an event", examples=[3.0])
    counter: int = Field(0, description="the change counter", examples=[1812])
    edition: EditionStatus | None = Field(None, description="the newest on-time edition")
    data_as_of: datetime | None = Field(None, description="instant at which the bars of its as_of became final")
    stale: bool = Field(False, description="whether any calendar is stale")
    stale_after: datetime | None = Field(None, description="the earliest of the calendars'")
    next_edition_at: datetime | None = Field(
        None, description="market time at which the next forecast run of any calendar is due; null at a record's end"
    )
    next_edition_in_seconds: float | None = Field(
        None, description="real seconds until then, from this answer on; null while a replayed clock waits for a run"
    )
    calendars: list[CalendarStatus] = Field(default_factory=list, description="those with an edition, by name")
    scheduler: SchedulerStatus = SchedulerStatus(alive=False, heartbeat_at=None)
    watchlist: WatchlistStatus = WatchlistStatus(active=0, with_forecast=0, suspect=0, failing=0, unknown=0)
    training: TrainingStatus | None = None
    source_fault: SourceFault | None = None
    last_failure: FailedRun | None = None
