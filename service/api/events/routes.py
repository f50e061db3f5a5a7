"""GET /v1/events."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service.api.common.schemas import problems
from service.api.events.hub import Hub

router = APIRouter(prefix="/v1/events", tags=["events"])

RETRY_MILLISECONDS = 2000
"""How long a client waits before it reconnects."""


async def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


@router.get("", summary="Live events", response_class=EventSourceResponse, responses=problems())
async def stream_events(
    hub: Annotated[Hub, Depends(_hub)],
    last_event_id: Annotated[
        str, Header(max_length=100, description="`id` of the last event seen; browsers send it when they reconnect")
    ] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events; each carries a JSON document, and the change counter as its `id`.

    `status`: the document of `/v1/status`, first and whenever more than heartbeat, counter, progress, live market
    time and a running countdown changed. `edition`: forecasts were published. `run`: a run is new or changed.
    `progress`: progress of a training or backfill. `run_request`: a run request is new or changed. `change`: answers
    changed, with the counter and, if few, the symbols; a client whose `Last-Event-ID` is another counter gets one
    first. `fault`: the database cannot be read (the stream continues), or this stream ends.
    """
    subscription = hub.join(_counter(last_event_id))
    try:
        yield ServerSentEvent(retry=RETRY_MILLISECONDS)
        async for event in subscription.events():
            number = None if event.counter is None else str(event.counter)
            yield ServerSentEvent(event=event.kind, raw_data=event.data, id=number)
    finally:
        hub.leave(subscription)


def _counter(last_event_id: str) -> int | None:
    """Return the client's last counter; an invalid one differs from every counter."""
    if not last_event_id:
        return None
    return int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else -1
