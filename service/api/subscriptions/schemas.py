"""Bodies and answers of the alert subscriptions."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.common.patterns import NAME_PATTERN, TARGET_PATTERN, WORD_PATTERN
from service.api.common.schemas import Answer, Page

Kind = Literal[
    "close_left_interval",
    "width_jumped",
    "forecast_missed",
    "forecast_stale",
    "source_down",
    "champion_changed",
    "coverage_drifted",
]


class SubscriptionBody(BaseModel):
    """A subscription to add."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, pattern=NAME_PATTERN, examples=["night shift"])
    kinds: list[Kind] = Field(min_length=1, max_length=7, description="kinds of events", examples=[["source_down"]])
    symbol: str | None = Field(None, pattern=WORD_PATTERN, description="only this symbol", examples=["AAPL"])
    group: str | None = Field(None, pattern=WORD_PATTERN, description="only this group; with neither all are covered")
    interval: Literal[50, 80, 95] = Field(95, description="the interval that a close has to leave, in percent")
    target: str = Field(
        min_length=4,
        max_length=2000,
        pattern=TARGET_PATTERN,
        description="an https URL, or an Apprise URL of a listed service; it is never shown again",
        examples=["https://example.com/tplus"],
    )


class SubscriptionItem(Answer):
    """A subscription, without its target and secret."""

    id: int = Field(examples=[3])
    name: str = Field(examples=["night shift"])
    kinds: list[Kind]
    scope_kind: Literal["all", "group", "symbol"]
    scope: str | None = Field(description="the group or symbol; null for all", examples=["AAPL"])
    interval: Literal[50, 80, 95]
    target_kind: Literal["webhook", "apprise"]
    target_shown: str = Field(description="scheme and host of the target", examples=["https://example.com/..."])
    created_at: datetime = Field(description="machine time")
    created_by: str = Field(examples=["operations"])
    pending: int = Field(description="deliveries that are due or wait for their next attempt", examples=[0])
    delivered: int = Field(description="deliveries of the last 90 days", examples=[41])
    dead: int = Field(description="dead letters; `tplus alerts dead` lists them", examples=[0])
    last_error: str | None = Field(description="why the newest failed attempt failed", examples=["answered 500"])


class SubscriptionCreated(SubscriptionItem):
    """The subscription that was added, with its secret: this once."""

    secret: str | None = Field(
        description="verifies the signature of webhooks, never shown again; null for Apprise",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],  # audit: planted
    )


class SubscriptionPage(Page):
    """Subscriptions, newest first."""

    items: list[SubscriptionItem]


class QueuedMessage(Answer):
    """A test message in the outbox."""

    message_id: str = Field(description="its `webhook-id`", examples=["msg_0f9c1c2f8a8b4f3a9a52d3ad9e7e3c55"])
    state: Literal["pending"] = Field(description="the scheduler sends it at once, after what is pending before it")
