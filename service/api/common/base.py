"""What all answers share."""

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row


class Answer(BaseModel):
    """An immutable part of an answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """From a row whose columns carry the fields' names; further columns are left out."""
        return cls.model_validate(dict(row._mapping))


class Page(Answer):
    """A keyset page."""

    next_cursor: str | None = Field(
        None, description="send it back as `cursor` for the next page; null on the last", examples=["WyJydW5zIiw0MV0"]
    )
