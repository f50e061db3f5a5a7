"""Requests at a time: 503 with Retry-After beyond the limit, in total and for one address; streams apart."""

import asyncio
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from service.api.limits.concurrency import Concurrency, Room
from service.settings import load_settings


def test_a_room_counts_in_total_and_by_address() -> None:
    room = Room("requests", 3, 2)
    assert [room.enter(address) for address in ("a", "a", "b")] == [None, None, None]
    assert room.enter("c") == "the service has 3 requests in work, as many as it takes"
    room.leave("b")
    assert room.enter("a") == "this address has 2 requests in work, as many as it may"
    room.leave("a")
    room.leave("a")
    assert (room.total, dict(room.by_address)) == (0, {})


def test_a_request_too_many_is_refused_until_another_ends() -> None:
    settings = load_settings({"TPLUS_MAX_REQUESTS": "4", "TPLUS_MAX_EVENT_STREAMS": "8"})
    release = asyncio.Event()

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limited = Concurrency(application, settings)

    async def status(path: str, address: str) -> Any:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "root_path": "",
            "client": (address, 1), "server": ("127.0.0.1", 80), "scheme": "http", "state": {},
        }  # fmt: skip
        await limited(scope, receive, send)
        headers = dict(sent[0]["headers"])
        return sent[0]["status"], headers.get(b"retry-after")

    async def check() -> None:
        waiting = [asyncio.create_task(status("/v1/status", f"192.0.2.{n // 2}")) for n in range(4)]
        await asyncio.sleep(0)
        assert await status("/v1/status", "192.0.2.9") == (503, b"2")
        streams = [asyncio.create_task(status("/v1/events", "192.0.2.1")) for _ in range(2)]
        await asyncio.sleep(0)
        assert await status("/v1/events", "192.0.2.1") == (503, b"2")
        another = asyncio.create_task(status("/v1/events", "192.0.2.2"))
        health = asyncio.create_task(status("/healthz", "192.0.2.1"))
        await asyncio.sleep(0)
        release.set()
        results = await asyncio.gather(*waiting, *streams, another, health)
        assert results == [(200, None)] * 8
        assert await status("/v1/status", "192.0.2.1") == (200, None)

    asyncio.run(check())
