"""Runs and what they did for each symbol."""

from datetime import date, datetime
from typing import Any

from pydantic import Field

from service.api.common.schemas import Answer, Page


class RunItem(Answer):
    """One execution of a job for one scope and scheduled instant."""

    id: int = Field(examples=[41])
    job: str = Field(description="pull, score, forecast or train", examples=["forecast"])
    scope: str = Field(description="a calendar, or a group for train", examples=["XNYS"])
    scheduled_for: datetime = Field(description="market time")
    sequence: int = Field(description="0, or higher for a re-run", examples=[0])
    session: date | None = Field(examples=["2018-06-01"])
    state: str = Field(description="due, running, waiting, done, failed or superseded", examples=["done"])
    attempt: int = Field(examples=[1])
    wait_until: datetime | None = Field(description="market time a waiting run sleeps to")
    started_at: datetime | None = Field(description="machine time")
    finished_at: datetime | None = Field(description="machine time")
    counts: dict[str, Any] = Field(
        description="symbols by outcome; progress (0 to 1) and detail while a training runs",
        examples=[{"forecast": 51}],
    )
    error: str | None = Field(None, description="what went wrong, in one sentence")


class RunOutcome(Answer):
    """What a run did for one symbol."""

    symbol: str = Field(examples=["AAPL"])
    state: str = Field(examples=["forecast"])
    reason: str | None = None


class RunAnswer(Page, RunItem):
    """A run with a page of its outcomes, by symbol."""

    outcomes: list[RunOutcome]


class RunPage(Page):
    """Runs, newest first."""

    items: list[RunItem]
