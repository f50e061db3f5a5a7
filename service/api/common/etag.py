"""Entity tags of answers that alter only when the change counter or the clock says so."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from service.api.common.dependencies import Snapshot
from service.api.common.queries import change_counter

SLOT = timedelta(minutes=15)
"""How long a tag stands while nothing changes: an answer that turns stale must not stay fresh in a cache for long."""

NOT_MODIFIED: Mapping[int | str, dict[str, Any]] = {
    304: {"description": "Nothing altered since the answer of that ETag"}
}
"""What a route with a tag declares beside its answer."""


def entity_tag(request: Request, snapshot: Snapshot) -> str:
    """A weak tag of an answer: the change counter, the address asked for, and the market-time slot.

    Weak, since `market_time` differs from one answer to the next while what is forecast does not.
    """
    return make_tag(change_counter(snapshot.connection), str(request.url), snapshot.now)


def make_tag(counter: int, address: str, now: datetime) -> str:
    """The tag itself; see `entity_tag`."""
    slot = int(now.timestamp() // SLOT.total_seconds())
    digest = hashlib.sha256(f"{counter}\n{address}\n{slot}".encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def matches(request: Request, tag: str) -> bool:
    """Whether the client says it holds this answer (If-None-Match, weak comparison)."""
    held = request.headers.get("if-none-match", "")
    return tag.removeprefix("W/") in {item.strip().removeprefix("W/") for item in held.split(",")}


def not_modified(tag: str) -> Response:
    """304: what the client holds still stands."""
    return Response(status_code=304, headers={"ETag": tag})
