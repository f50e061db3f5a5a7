"""Page sessions."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.api.common.schemas import Answer
from service.vocabulary import Scope

MAX_KEY = 200


class SignIn(BaseModel):
    """The key to sign in with."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, StringConstraints(max_length=MAX_KEY)] = Field(description="a key of `tplus keys create`")


class SessionAnswer(Answer):
    """Who makes the request."""

    signed_in: bool = Field(description="whether the request has a valid key or page session")
    name: str | None = Field(description="name of the key; null without one", examples=["notebook"])
    scopes: list[Scope] = Field(description="what is permitted", examples=[["read", "run"]])
    expires_at: datetime | None = Field(
        description="machine time at which the key or the page session ends; null = never", examples=[None]
    )
    renew_at: datetime | None = Field(
        description="machine time from which `GET /v1/session` renews the page session; null if it does not",
        examples=[None],
    )
    open_reads: bool = Field(description="whether reads need no key")
