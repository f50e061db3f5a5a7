"""A served application in a thread of the test, and a client of its event stream over real HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from service.app import Server, bind, server_config

LIMIT = 20.0
"""Real seconds after which a wait fails."""


@dataclass(frozen=True)
class Told:
    """One received event."""

    kind: str
    data: Any
    id: str | None


class EventStream:
    """Reads the events of one open response."""

    def __init__(self, response: httpx.Response) -> None:
        response.raise_for_status()
        self.headers = response.headers
        self.comments: list[str] = []
        self.retry: str | None = None
        self._lines = response.iter_lines()

    def next(self) -> Told:
        """Return the next event; comments and the retry time are stored apart."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments.append(line)
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return Told(fields["event"], json.loads(fields["data"]), fields.get("id"))
            else:
                self.retry = fields.get("retry", self.retry)
                fields = {}
        raise EOFError("the stream ended")

    def first(self, kind: str, **values: Any) -> Told:
        """Return the next event of a kind with some values in its document; others are skipped."""
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            event = self.next()
            if event.kind == kind and values.items() <= event.data.items():
                return event
        raise AssertionError(f"no {kind} with {values} came within {LIMIT:g} s")


@contextmanager
def listening(url: str, last_seen: int | str | None = None) -> Iterator[EventStream]:
    """Open a stream; reading fails after `LIMIT` seconds without data."""
    headers = {} if last_seen is None else {"Last-Event-ID": str(last_seen)}
    with httpx.stream("GET", f"{url}/v1/events", headers=headers, timeout=LIMIT) as response:
        yield EventStream(response)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve the application on loopback; yields its address."""
    with bind("127.0.0.1", 0) as listener:
        server = Server(server_config(app))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server")
        thread.start()
        try:
            deadline = time.monotonic() + LIMIT
            while not server.started:
                assert time.monotonic() < deadline, "the server did not start in time"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(LIMIT)
            assert not thread.is_alive(), "the server did not end in time"
