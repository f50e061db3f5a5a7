"""Entries of the audit."""

from datetime import datetime
from typing import Any

from pydantic import Field

from service.api.common.schemas import Answer, Page


class AuditItem(Answer):
    """A write by a person or a client."""

    id: int = Field(examples=[7])
    at: datetime = Field(description="machine time")
    actor: str = Field(description="name of the key, or `command line`", examples=["notebook"])
    action: str = Field(description="what was done", examples=["keys.create"])
    subject: str = Field(description="what it was done to", examples=["AAPL"])
    detail: dict[str, Any] = Field(description="further facts; no secrets", examples=[{"scopes": ["read"]}])
    request_id: str | None = Field(description="X-Request-ID of the request; null for the command line")


class AuditPage(Page):
    """Entries, newest first."""

    items: list[AuditItem]
