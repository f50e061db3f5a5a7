"""Model versions and the decisions about them."""

from datetime import date, datetime
from typing import Any

from pydantic import Field

from service.api.common.schemas import Answer, Page


class ModelItem(Answer):
    """A model version: a trained network or a baseline."""

    id: int = Field(examples=[7])
    group: str = Field(examples=["equity"])
    strategy: str = Field(examples=["multi_step"])
    forecaster: str = Field(examples=["lstm"])
    lookback: int = Field(description="sessions in a window", examples=[5])
    horizon: int = Field(description="steps", examples=[3])
    status: str = Field(description="champion, challenger, retired or rejected", examples=["champion"])
    reason: str = Field(examples=["beats the random walk over 504 sessions"])
    trained_at: datetime = Field(description="market time: the cut of its data")
    data_until: datetime | None = Field(
        None, description="instant by which all its data, the test span included, were final"
    )
    train_first: date | None = Field(None, examples=["2000-12-29"])
    train_last: date | None = Field(None, examples=["2015-12-18"])
    validation_first: date | None = None
    validation_last: date | None = None
    test_first: date | None = None
    test_last: date | None = None
    seeds: list[int] = Field(examples=[[0, 1, 2]])
    config_hash: str = Field(description="hash of network, inputs, loss and span", examples=["b1946ac9"])
    data_hash: str = Field(examples=["5891b5b5"])
    sha256: str = Field(description="of the artifact's manifest", examples=["e258d248"])
    metrics: dict[str, Any] = Field(
        description="held-out figures; pinball in basis points", examples=[{"test_n": 12600, "test_skill": 0.015}]
    )
    pinned_at: datetime | None = Field(None, description="market time since which no training replaces it")
    run_id: int | None = Field(description="the training run", examples=[31])


class Decision(Answer):
    """A change of a version's status."""

    id: int = Field(examples=[3])
    decided_at: datetime = Field(description="market time")
    recorded_at: datetime = Field(description="machine time")
    status: str = Field(examples=["champion"])
    reason: str = Field(examples=["beats the random walk over 504 sessions"])
    figures: dict[str, Any] = Field(examples=[{"p": 0.01}])
    run_id: int | None = Field(examples=[31])


class ModelAnswer(ModelItem):
    """A model version with its specs and decisions, oldest decision first."""

    specs: dict[str, Any] = Field(examples=[{"units": 48}])
    decisions: list[Decision]


class ModelPage(Page):
    """Model versions, newest first."""

    items: list[ModelItem]
