"""Base classes of all answers, and problem documents (RFC 9457)."""

from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"

Strategy = Literal["one_step", "multi_step"]
Mode = Literal["live", "replay", "backfill"]


class Answer(BaseModel):
    """A read-only part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def of(cls, row: NamedTuple) -> Self:
        """Return an instance from a row with fields of the same names; other fields of the row are ignored."""
        return cls.model_validate(row._asdict())


class Page(Answer):
    """A keyset page."""

    next_cursor: str | None = Field(
        None, description="send it back as `cursor` for the next page; null on the last", examples=["WyJydW5zIiw0MV0"]
    )


class BadField(Answer):
    """An invalid parameter."""

    parameter: str = Field(examples=["as_of"])
    message: str = Field(examples=["must be a date, YYYY-MM-DD"])


class Problem(Answer):
    """Why a request was refused."""

    type: str = Field(description="kind of problem", examples=["urn:tplus:problem:not-found"])
    title: str = Field(description="the status in words", examples=["Not Found"])
    status: int = Field(description="HTTP status", examples=[404])
    detail: str = Field(description="what, where, what to do", examples=["there is no symbol ZZZZ; see /v1/symbols"])
    instance: str = Field(description="the requested path", examples=["/v1/forecasts/ZZZZ"])
    request_id: str = Field(description="as in X-Request-ID and in the log", examples=["3f0c9f6c1f0e4c52"])
    errors: list[BadField] | None = Field(None, description="bad parameters, on 422")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that may fail with these statuses, and with 401, 403, 422 and 503."""
    schema = {"$ref": "#/components/schemas/Problem"}
    texts = {
        400: "The body cannot be read",
        401: "No valid key",
        403: "The key lacks the scope",
        404: "Unknown",
        409: "Conflict",
        422: "Bad input",
        429: "Too many requests; see Retry-After",
        503: "Not available yet; see Retry-After",
    }
    return {
        status: {"description": texts[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*statuses, 401, 403, 422, 503})
    }
