"""Entity tags of answers: they change with the change counter and the market-time slot."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.api.common.dependencies import Snapshot
from service.api.common.queries import read_change_counter

SLOT = timedelta(minutes=15)
"""How long a tag is valid while nothing changes: a stale answer must not stay in a cache for long."""

NOT_MODIFIED: Mapping[int | str, dict[str, Any]] = {304: {"description": "Unchanged since the answer with that ETag"}}
"""Further responses of a route with a tag."""


def entity_tag(request: Request, snapshot: Snapshot, form: str = "json") -> str:
    """Return the weak tag of an answer: change counter, requested address and format, and market-time slot."""
    return make_tag(read_change_counter(snapshot.connection), f"{request.url}\n{form}", snapshot.now)


def make_tag(counter: int, address: str, now: datetime) -> str:
    """Return the tag; see `entity_tag`."""
    slot = int(now.timestamp() // SLOT.total_seconds())
    digest = hashlib.sha256(f"{counter}\n{address}\n{slot}".encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def matches(request: Request, tag: str) -> bool:
    """Return whether the client holds this answer (If-None-Match, weak comparison)."""
    return names_tag(request.headers.get("if-none-match", ""), tag)


def names_tag(tags: str, tag: str) -> bool:
    """Return whether the value of `If-None-Match` names a tag."""
    return tag.removeprefix("W/") in {item.strip().removeprefix("W/") for item in tags.split(",")}


def not_modified(tag: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return 304: the client's answer is current."""
    return Response(status_code=304, headers={**(headers or {}), "ETag": tag})
