"""uvicorn's HTTP protocol with limits: on bytes, on time, on connections."""

import asyncio
import logging
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.api.server.departure import DEPARTURE, Departure
from service.api.server.http_limits import HttpLimits, OpenConnections
from service.api.server.ready_answers import LARGE, UNSENT, WRITE_READY, AnswerNow, Ready, TurnWrites
from service.api.server.refused import Refused, answer_bytes
from service.api.server.timers import Timers

_LINGER_SECONDS = 2.0
"""How long input is still read after an answer that refuses: closing at once could reset the answer away."""

_LINGER_BYTES = 1 << 20

DRAIN_SECONDS = 0.5
"""How long an idle connection stays open after the server is stopped: its next request may be on its way."""

_RAW_FACTOR = 8
"""A body in chunks of one byte takes six times its size; trailers are few."""

_REQUEST, _WRITE, _DRAIN, _CLOSE = "request", "write", "drain", "close"
"""Names of timers."""

_log = logging.getLogger(__name__)


class TimedProtocol(HttpToolsProtocol):
    """A connection whose client must read, and which ends without dropping a request."""

    limits: HttpLimits
    open_connections: OpenConnections
    turn_writes: TurnWrites
    answer_now: AnswerNow | None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = cast(int, self.limits.idle_seconds)
        self._timers = Timers(self.loop)
        self._is_draining = False
        self._active: RequestResponseCycle | None = None
        self._ready_count = 0
        self._is_answered = False
        self._default_headers: list[tuple[bytes, bytes]] | None = None
        self._own = b""

    @property
    def _is_busy(self) -> bool:
        """Whether an answer is in work."""
        active = self._active
        return active is not None and not active.response_complete and not active.disconnected

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = cycle
        left: memoryview | None = cycle.scope.get(UNSENT)  # type: ignore[assignment]
        if left is not None:
            cycle.response_started, cycle.chunked_encoding, cycle.expected_content_length = True, False, len(left)
        super()._start_asgi_task(cycle, app)

    def _answer_now(self) -> bool:
        """Send an answer that is ready, before uvicorn prepares a task for it; returns False if there is none."""
        parser, is_waiting = self.parser, self._is_busy or bool(self.pipeline)
        # A client that sends many requests in one piece must not hold up the others.
        if self.answer_now is None or is_waiting or self._ready_count >= self.limits.pipelined:
            return False
        if parser.get_method() != b"GET" or parser.get_http_version() != "1.1" or not parser.should_keep_alive():
            return False
        path, _, query = self.url.partition(b"?")
        # uvicorn decodes such paths; their answers are not kept, or the application finds them.
        if self._is_draining or self.flow.write_paused or b"%" in path or b"#" in self.url:
            return False
        self.scope["method"], self.scope["query_string"] = "GET", query
        self.scope["path"] = self.root_path + path.decode("latin-1")
        try:
            ready = self.answer_now(self.scope)
        except Exception:
            _log.exception("a kept answer cannot be sent; the application answers")
            return False
        if ready is None:
            return False
        self._ready_count += 1
        line, rest, pieces = ready
        left = self.turn_writes.write(self.transport, self.flow, (line, self._own_headers(), rest, *pieces))
        if left is not None:
            self.scope[UNSENT] = left  # type: ignore[literal-required]
            return False
        self._is_answered = True
        self.on_response_complete()
        return True

    def _write_ready(self, ready: Ready) -> bool:
        """Send the answer to the request in work in one piece; returns False if it takes messages."""
        cycle, (line, rest, pieces) = self._active, ready
        is_open = cycle is not None and self._is_busy and cycle.keep_alive and not cycle.response_started
        if cycle is None or not is_open or self.flow.write_paused or sum(map(len, pieces)) > LARGE:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self.turn_writes.write(self.transport, self.flow, (line, self._own_headers(), rest, *pieces))
        cycle.on_response()
        return True

    def _own_headers(self) -> bytes:
        """Return the server's own headers as they are sent; they change each second, with the date."""
        headers = self.server_state.default_headers
        if headers is not self._default_headers:
            self._default_headers = headers
            self._own = b"".join([b"%b: %b\r\n" % pair for pair in headers])
        return self._own

    def shutdown(self) -> None:
        """Stop with the answers in work; an idle connection may still bring the request that it has sent."""
        self._is_draining = True
        if not self._is_busy:
            self._close_soon()
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def _close_soon(self) -> None:
        def close() -> None:
            if not self._is_busy and not self.transport.is_closing():
                self._close()

        self._timers.start(_DRAIN, DRAIN_SECONDS, close)

    def _close(self) -> None:
        """Close; a client that does not read the rest is cut off."""
        self.turn_writes.flush(self.transport)
        self.transport.close()
        self._timers.start(_CLOSE, self.limits.write_seconds, self.transport.abort)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        if not self.transport.is_closing():
            self._close()

    def pause_writing(self) -> None:
        """Give the client some time to read."""
        super().pause_writing()
        if not self._timers.runs(_WRITE):
            self._timers.start(_WRITE, self.limits.write_seconds, self.transport.abort)
        self.open_connections.paused(self)

    def unread(self) -> int:
        """Return the bytes of answers that the client has not read."""
        return self.transport.get_write_buffer_size()

    def cut_off(self) -> None:
        """Close at once."""
        self.transport.abort()

    def resume_writing(self) -> None:
        """Continue: the client reads."""
        super().resume_writing()
        self._timers.stop(_WRITE)
        self.open_connections.resumed(self)

    def on_response_complete(self) -> None:
        """Wait for the next request, or see that the connection is closed."""
        super().on_response_complete()
        if self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self._timers.start(_CLOSE, self.limits.write_seconds, self.transport.abort)
        elif self._is_draining and not self.pipeline:
            self._close_soon()

    def _leave(self) -> None:
        """Report that no client waits for the answer in work; what was sent ahead never starts."""
        self.pipeline.clear()
        if self._active is not None and self._is_busy:
            departure: Departure = self._active.scope[DEPARTURE]  # type: ignore[literal-required]
            self._active.disconnected = True
            self._active.message_event.set()
            departure.client_left()


class LimitedProtocol(TimedProtocol):
    """One connection; subclasses of `limited_protocol` have the limits of a server."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._address = ""
        self._in_head = True
        self._head_bytes = self._header_bytes = self._body_bytes = self._raw_body_bytes = 0
        self._messages = 0
        self._discarded: int | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection; one too many is refused."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        problem = self.open_connections.opened(self._address)
        if problem is not None:
            self._refuse(Refused(503, f"{problem}; try again later"))
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the work of a request without an answer."""
        self.open_connections.closed(self._address)
        self.open_connections.resumed(self)
        self._timers.stop_all()
        self._unset_keepalive_if_required()
        self._leave()
        super().connection_lost(exc)
        # The scope names this protocol: without this, closed connections would wait for a garbage collection.
        self._active = self.cycle = self.scope = None  # type: ignore[assignment]

    # What arrives

    def data_received(self, data: bytes) -> None:
        """Parse a piece of input, within the limits."""
        self._unset_keepalive_if_required()
        self._ready_count = 0
        if self._discarded is not None:
            self._discarded += len(data)
            if self._discarded > _LINGER_BYTES:
                self.transport.abort()
            return
        messages = self._messages
        try:
            self.parser.feed_data(data)
            self._count_raw(len(data), self._messages != messages)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # the request is answered as one without an upgrade
        except Refused as refused:
            self._refuse(refused)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refused) else Refused(400, "the request is not valid HTTP"))
        # A request that arrives whole needs no timer.
        is_partial = (not self._in_head or self._head_bytes > 0) and self._discarded is None
        if is_partial and not self._timers.runs(_REQUEST):
            self._start_timer()

    def _count_raw(self, size: int, is_next_message: bool) -> None:
        """Count bytes that the parser keeps, or that no callback reports.

        Raises:
            Refused: too many.
        """
        if self._in_head:
            self._head_bytes = 0 if is_next_message else self._head_bytes + size
            if self._head_bytes > self.limits.head_bytes:
                raise self._head_too_large()
        else:
            self._raw_body_bytes += size
            if self._raw_body_bytes > _RAW_FACTOR * self.limits.body_bytes + self.limits.head_bytes:
                raise self._body_too_large()

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._is_answered = False
        self._header_bytes = self._body_bytes = self._raw_body_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the request's target.

        Raises:
            Refused: it is too long.
        """
        super().on_url(url)
        if len(self.url) > self.limits.request_line:
            raise Refused(414, f"the address has more than {self.limits.request_line} bytes; ask for less at a time")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer.

        Raises:
            Refused: there are too many, or they are too large.
        """
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if len(self.headers) > self.limits.headers:
            raise Refused(431, f"the request has more than {self.limits.headers} headers; send fewer")
        if self._header_bytes > self.limits.head_bytes:
            raise self._head_too_large()

    def on_headers_complete(self) -> None:
        """Start the request.

        Raises:
            Refused: its body is too large, or it is one request too many ahead of its turn.
        """
        if len(self.pipeline) >= self.limits.pipelined:
            raise Refused(400, f"more than {self.limits.pipelined} requests were sent ahead of the answers")
        for name, value in self.headers:
            if name == b"content-length" and int(value) > self.limits.body_bytes:
                raise self._body_too_large()
        self._in_head = False
        self._head_bytes = 0
        self._timers.stop(_REQUEST)  # the body has a time of its own
        if self._answer_now():
            return
        self.scope.update({DEPARTURE: Departure(), WRITE_READY: self._write_ready})  # type: ignore[misc]
        super().on_headers_complete()
        if self._is_draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body.

        Raises:
            Refused: it is too large.
        """
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body_bytes:
            raise self._body_too_large()
        if not self._is_answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; the next may follow."""
        self._messages += 1
        self._in_head = True
        self._timers.stop(_REQUEST)
        if not self._is_answered:
            super().on_message_complete()

    def _head_too_large(self) -> Refused:
        return Refused(431, f"the headers have more than {self.limits.head_bytes} bytes; send fewer or shorter ones")

    def _body_too_large(self) -> Refused:
        return Refused(413, f"the body has more than {self.limits.body_bytes} bytes; send less")

    # Time

    def _start_timer(self) -> None:
        self._timers.start(_REQUEST, self.limits.request_seconds, self._timed_out)

    def _timed_out(self) -> None:
        if self.transport.is_closing():
            return
        if self.flow.read_paused:  # the server itself does not read now
            self._start_timer()
        elif self._in_head and self._head_bytes == 0:
            self._close()
        else:
            part = "headers" if self._in_head else "body"
            self._refuse(Refused(408, f"the {part} did not arrive within {self.limits.request_seconds:g} s"))

    def _refuse(self, refused: Refused) -> None:
        """Answer with a problem document and close; without an answer where another one has begun."""
        _log.info("refused with %s: %s", refused.status, refused.detail)
        self._timers.stop(_REQUEST)
        self._discarded = 0
        self.flow.resume_reading()
        is_answerable = (self._in_head and not self._is_busy) or self._is_own_body_refused
        self._leave()
        if not is_answerable:
            self._close()
            return
        self.turn_writes.flush(self.transport)
        path = (self.url if getattr(self, "url", b"") else b"/").partition(b"?")[0].decode("ascii", "replace")
        self.transport.write(answer_bytes(refused, path, self.server_state.default_headers))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timers.start(_CLOSE, _LINGER_SECONDS, self.transport.abort)

    @property
    def _is_own_body_refused(self) -> bool:
        """Whether the request in work is the refused one and has no answer yet."""
        active = self._active
        is_active = active is not None and active is self.cycle and self._is_busy
        return is_active and not self._in_head and not self.cycle.response_started


def limited_protocol(limits: HttpLimits, answer_now: AnswerNow | None = None) -> type[LimitedProtocol]:
    """Return the protocol class of one server process; its connections are counted together.

    Args:
        limits: The limits of this process.
        answer_now: Called before the application; None = the application answers everything.
    """
    ready = None if answer_now is None else staticmethod(answer_now)
    attributes = {"limits": limits, "open_connections": OpenConnections(limits), "turn_writes": TurnWrites()}
    return type("ServerProtocol", (LimitedProtocol,), {**attributes, "answer_now": ready})
