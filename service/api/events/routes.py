"""GET /v1/events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from sqlalchemy.exc import SQLAlchemyError

from service.api.access.authenticate import Authenticator
from service.api.access.principal import Credential
from service.api.access.require import AuthenticatorDependency, ReadAccess
from service.api.common.schemas import problems
from service.api.events.hub import Hub, Subscription
from service.errors import NotYet

router = APIRouter(prefix="/v1/events", tags=["events"])

RETRY_MILLISECONDS = 2000
"""How long a client waits before it reconnects."""

CHECK_SECONDS = 0.4
"""Real seconds between two checks of an open stream's key: with the kept answers, a revoked one ends it within 1 s."""


async def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.hub
    return hub


@router.get("", summary="Live events", response_class=EventSourceResponse, responses=problems())
async def stream_events(
    hub: Annotated[Hub, Depends(_hub)],
    principal: ReadAccess,
    authenticator: AuthenticatorDependency,
    last_event_id: Annotated[
        str, Header(max_length=100, description="`id` of the last event seen; browsers send it when they reconnect")
    ] = "",
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events; each carries a JSON document, and the change counter as its `id`.

    `status`: the document of `/v1/status`, first and whenever more than heartbeat, counter, progress, live market
    time and a running countdown changed. `edition`: forecasts were published. `run`: a run is new or changed.
    `progress`: progress of a training or backfill. `run_request`: a run request is new or changed. `change`: answers
    changed, with the counter and, if few, the symbols; a client whose `Last-Event-ID` is another counter gets one
    first. `fault`: the database cannot be read (the stream continues), or this stream ends. A stream ends within a
    second after its key was revoked.
    """
    subscription = hub.join(_counter(last_event_id))
    check: asyncio.Task[None] | None = None
    if principal.credential is not None:
        check = asyncio.create_task(_end_when_refused(subscription, authenticator, principal.credential))
    try:
        yield ServerSentEvent(retry=RETRY_MILLISECONDS)
        async for event in subscription.events():
            number = None if event.counter is None else str(event.counter)
            yield ServerSentEvent(event=event.kind, raw_data=event.data, id=number)
    finally:
        if check is not None:
            check.cancel()
        hub.leave(subscription)


async def _end_when_refused(subscription: Subscription, authenticator: Authenticator, credential: Credential) -> None:
    """End a stream when its key is no longer valid; a database that cannot be read leaves it open."""
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        with suppress(SQLAlchemyError, NotYet):
            if await authenticator.find(credential) is None:
                subscription.end()  # the client connects again: with a renewed cookie, or is refused with the reason
                return


def _counter(last_event_id: str) -> int | None:
    """Return the client's last counter; an invalid one differs from every counter."""
    if not last_event_id:
        return None
    return int(last_event_id) if last_event_id.isascii() and last_event_id.isdigit() else -1
