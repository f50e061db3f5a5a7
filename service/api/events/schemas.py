"""Documents of the events of GET /v1/events; a `status` event has the document of GET /v1/status."""

from datetime import date
from typing import Any

from pydantic import Field

from service.api.common.schemas import Answer


class RunEvent(Answer):
    """A run is new, or its state, error, warnings or counts changed."""

    id: int = Field(examples=[41])
    job: str = Field(description="pull, score, forecast, train or backfill", examples=["forecast"])
    scope: str = Field(description="a calendar, or a group for train", examples=["XNYS"])
    session: date | None = Field(examples=["2018-06-01"])
    state: str = Field(description="due, running, waiting, done, failed or superseded", examples=["done"])
    error: str | None = Field(description="why it failed or is retried, in one sentence")
    warnings: list[str] = Field(description="sentences about a run that is done nevertheless", examples=[[]])
    counts: dict[str, Any] = Field(description="symbols by outcome", examples=[{"forecast": 51}])


class ProgressEvent(Answer):
    """Progress of a running training or backfill."""

    run_id: int = Field(examples=[41])
    progress: float = Field(description="share of the work done, 0 to 1", examples=[0.42])
    detail: str | None = Field(examples=["multi_step, seed 1, epoch 7"])


class RunRequestEvent(Answer):
    """A run request is new, or its state, reason or runs changed."""

    id: int = Field(examples=[12])
    kind: str = Field(description="what it changes", examples=["symbols.add"])
    state: str = Field(description="pending, accepted, done, failed or rejected", examples=["rejected"])
    reason: str | None = Field(description="why it was rejected, has failed, or is tried again")
    runs: list[int] = Field(description="ids of its runs", examples=[[41]])


class ChangeEvent(Answer):
    """Answers changed."""

    counter: int = Field(description="the change counter", examples=[1812])
    symbols: list[str] | None = Field(
        description="symbols of the answers; null if they are many or unknown", examples=[["AAPL"]]
    )


class FaultEvent(Answer):
    """The database cannot be read now, or this stream ends."""

    detail: str = Field(examples=["the database cannot be reached (connection refused); start it"])
