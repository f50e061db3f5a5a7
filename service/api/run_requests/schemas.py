"""Run requests: what clients send, and what they get back."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.common.parameters import MAX_SYMBOLS, IsoDate
from service.api.common.patterns import CALENDAR_PATTERN, GROUP_PATTERN, REASON_PATTERN, SYMBOL_PATTERN, WORD_PATTERN
from service.api.common.schemas import Answer, Page

Strategy = Literal["one_step", "multi_step"]
Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=REASON_PATTERN,
        description="why; stored with the decision and in the audit",
        examples=["the new one is too wide in crises"],
    ),
]


class _Body(BaseModel):
    """A body that a client sends; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ScopeRun(_Body):
    """Request of one job for a calendar, or for a group if it is `train`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job": "pull", "scope": "XNYS"}]})

    job: Literal["pull", "score", "forecast", "train"] = Field(description="what to do", examples=["pull"])
    scope: str = Field(
        pattern=WORD_PATTERN, max_length=40, description="a calendar, or a group for train", examples=["XNYS"]
    )


class BackfillRun(_Body):
    """Request of the missing forecasts of past sessions of a calendar."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"job": "backfill", "scope": "XNYS", "first": "2018-01-02", "last": "2018-06-29"}]
        }
    )

    job: Literal["backfill"]
    scope: str = Field(pattern=WORD_PATTERN, max_length=40, description="a calendar", examples=["XNYS"])
    first: IsoDate = Field(description="first as_of session, inclusive", examples=["2018-01-02"])
    last: IsoDate = Field(description="last as_of session, inclusive", examples=["2018-06-29"])
    symbols: list[Annotated[str, Field(pattern=SYMBOL_PATTERN, max_length=40)]] = Field(
        default_factory=list,
        max_length=MAX_SYMBOLS,
        description="only these; empty = all of the calendar",
        examples=[["AAPL"]],
    )


RunBody = Annotated[ScopeRun | BackfillRun, Field(discriminator="job")]


class SymbolBody(_Body):
    """How a symbol is watched; without it the source decides."""

    group: str | None = Field(
        None,
        pattern=GROUP_PATTERN,
        max_length=40,
        description="training group; default: that of its type",
        examples=["equity"],
    )
    calendar: str | None = Field(
        None,
        pattern=CALENDAR_PATTERN,
        max_length=20,
        description="exchange calendar; default: that of the source",
        examples=["XNYS"],
    )


class ReasonBody(_Body):
    """Why a version is changed."""

    reason: Reason


class RollbackBody(_Body):
    """Which group and strategy return to the version that served before."""

    group: str = Field(pattern=WORD_PATTERN, max_length=40, description="training group", examples=["equity"])
    strategy: Strategy = Field(examples=["multi_step"])
    reason: Reason


class RunLink(Answer):
    """A run of a request."""

    id: int = Field(examples=[41])
    href: str = Field(description="path of the run", examples=["/v1/runs/41"])


class RunRequestItem(Answer):
    """A request that the scheduler carries out."""

    id: int = Field(examples=[12])
    kind: str = Field(
        description="run, symbols.add, symbols.remove, models.promote, models.rollback, models.pin or models.unpin",
        examples=["run"],
    )
    body: dict[str, Any] = Field(description="what was requested", examples=[{"job": "pull", "scope": "XNYS"}])
    state: str = Field(
        description="pending, accepted (its runs are planned or running), done, failed or rejected",
        examples=["accepted"],
    )
    reason: str | None = Field(None, description="why it was rejected, has failed, or is tried again")
    note: str | None = Field(None, description="a sentence about what it did")
    requested_by: str = Field(description="name of the key, or the command line", examples=["robot"])
    created_at: datetime = Field(description="machine time")
    finished_at: datetime | None = Field(None, description="machine time")
    runs: list[RunLink] = Field(description="its runs", examples=[[{"id": 41, "href": "/v1/runs/41"}]])


class RunRequestPage(Page):
    """Run requests, newest first."""

    items: list[RunRequestItem]
