"""Chooses the format of an answer: the parameter `format`, else the header `Accept`, else JSON."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request

Format = Literal["json", "csv", "parquet", "arrow"]
TableFormat = Literal["csv", "parquet", "arrow"]

MEDIA_TYPES: Mapping[TableFormat, str] = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""Media type of each format of a table."""

TABLES: Mapping[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {"schema": {"type": "string"}} for media_type in MEDIA_TYPES.values()}}
}
"""Further media types of a route's answer, for the OpenAPI document."""

VARY = {"Vary": "Accept"}
"""Header of every answer of a route with several formats: a cache must not mix them."""

_OFFERED: Mapping[str, Format] = {
    "*/*": "json",
    "application/*": "json",
    "application/json": "json",
    **{media_type: name for name, media_type in MEDIA_TYPES.items()},
}
_MOST_PARTS = 50
"""Parts of a header that are read."""


async def _chosen_format(
    request: Request,
    requested: Annotated[
        Format | None,
        Query(
            alias="format", description="json, or a table: csv, parquet, arrow (stream); default: by Accept, or json"
        ),
    ] = None,
) -> Format:
    return requested or accepted_format(request.headers.get("accept", ""))


FormatDependency = Annotated[Format, Depends(_chosen_format)]


def accepted_format(header: str) -> Format:
    """Return the format that an `Accept` header prefers; JSON if it names none, or prefers several equally."""
    weights: dict[Format, float] = {}
    for name, weight in _parts(header):
        weights[name] = max(weight, weights.get(name, 0.0))
    best = max(weights.values(), default=0.0)
    if best == 0.0 or weights.get("json") == best:
        return "json"
    return next(name for name, weight in weights.items() if weight == best)


def _parts(header: str) -> Iterator[tuple[Format, float]]:
    for part in header.split(",", _MOST_PARTS)[:_MOST_PARTS]:
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        name = _OFFERED.get(media_type)
        if name is not None:
            yield name, _weight(parameters)


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                weight = float(parameter.removeprefix("q="))
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0
