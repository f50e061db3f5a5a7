"""Runs and their outcomes."""

from datetime import date, datetime
from typing import Any

from pydantic import Field

from service.api.common.schemas import Answer, Page


class RunItem(Answer):
    """One execution of a job for one scope and scheduled instant."""

    id: int = Field(examples=[41])
    job: str = Field(description="pull, score, forecast, train or backfill", examples=["forecast"])
    scope: str = Field(description="a calendar, or a group for train", examples=["XNYS"])
    scheduled_for: datetime = Field(description="market time")
    sequence: int = Field(description="0, or higher for a re-run", examples=[0])
    session: date | None = Field(examples=["2018-06-01"])
    state: str = Field(description="due, running, waiting, done, failed or superseded", examples=["done"])
    attempt: int = Field(examples=[1])
    wait_until: datetime | None = Field(description="market time until which a waiting run waits")
    started_at: datetime | None = Field(description="machine time")
    finished_at: datetime | None = Field(description="machine time")
    counts: dict[str, Any] = Field(description="symbols by outcome", examples=[{"forecast": 51}])
    progress: float | None = Field(None, description="share of the work done, 0 to 1, while it runs", examples=[0.42])
    progress_detail: str | None = Field(None, examples=["multi_step, seed 1, epoch 7"])
    faults: int = Field(description="retries after machine faults; they use no attempt", examples=[0])
    takeovers: int = Field(description="how often another worker took it over", examples=[0])
    error: str | None = Field(None, description="why it failed or is retried, in one sentence")
    warnings: list[str] = Field(description="sentences about a run that is done nevertheless", examples=[[]])
    outcomes_pruned_at: datetime | None = Field(
        None, description="machine time at which its outcomes were deleted, see TPLUS_RETENTION_DAYS; null = kept"
    )
    parameters: dict[str, Any] | None = Field(
        None,
        description="dates and symbols of a backfill",
        examples=[{"first": "2018-01-02", "last": "2018-06-29", "symbols": []}],
    )


class RunOutcome(Answer):
    """Outcome of a run for one symbol."""

    symbol: str = Field(examples=["AAPL"])
    state: str = Field(examples=["forecast"])
    reason: str | None = None


class RunAnswer(Page, RunItem):
    """A run with a page of its outcomes, by symbol."""

    outcomes: list[RunOutcome]


class RunPage(Page):
    """Runs, newest first."""

    items: list[RunItem]
