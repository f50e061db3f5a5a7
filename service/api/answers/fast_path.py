"""Answers plain reads from kept bytes, without a call of the routes, with every check of the long way.

A request that is not plain, and every request that is to be refused, takes the long way, which says why.
"""

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from service.api.access.authenticate import Authenticator
from service.api.access.principal import ANONYMOUS, Credential, CredentialKind, Principal
from service.api.answers.answer import Answer
from service.api.answers.cache import AnswerCache
from service.api.answers.database_state import DatabaseState
from service.api.answers.forecast_loader import ForecastLoader
from service.api.answers.make import KEPT_ANSWER, MEDIA_TYPE, forecast_tag, make_answer
from service.api.answers.plain_request import ONE_ROUTE, PlainRequest, PlainRequests
from service.api.answers.watch import StateWatch
from service.api.common.errors import REQUEST_ID_HEADER
from service.api.common.etag import names_tag
from service.api.common.headers import API_HEADERS, REVALIDATED
from service.api.common.request_id import chosen_id
from service.api.formats.negotiate import VARY
from service.api.limits.addresses import client_address
from service.api.limits.middleware import Limits
from service.api.limits.rates import COUNTED, Pairs
from service.api.metrics.request_log import RequestRecord, write_line
from service.api.metrics.request_metrics import RequestMetrics
from service.api.server.ready_answers import LARGE, PIECE, UNSENT, WRITE_READY, Ready
from service.errors import TplusError
from service.settings import Settings
from service.vocabulary import Scope as KeyScope

_log = logging.getLogger(__name__)

MOST_WAIT_SECONDS = 2.0
"""How long a request waits for a reading that it shares: a slow one for others must not hold it up for longer."""

_READ = "tplus.plain_request"
"""Key of the ASGI scope with the request as `answer_now` has read it."""

_ID_NAME = REQUEST_ID_HEADER.lower().encode()
_SECURITY = b"cache-control: " + REVALIDATED.encode() + b"\r\n"
_SECURITY += b"".join(
    f"{name.lower()}: {value}\r\n".encode() for name, value in API_HEADERS.items() if name != "Cache-Control"
)
"""The security headers in the order of the long way, where that of an answer with a tag comes first."""

_CONTENT_TYPE = f"content-type: {MEDIA_TYPE}\r\n".encode()
_STATUS_LINES = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the fast path shares with the long way.

    Attributes:
        authenticator: Finds keys.
        limits: The limits.
        metrics: Receives every request.
        loader: Reads forecasts that are not kept.
        watch: The state of the database.
    """

    authenticator: Authenticator
    limits: Limits
    metrics: RequestMetrics
    loader: ForecastLoader
    watch: StateWatch


@dataclass(slots=True)
class _Prepared:
    """An answer that is about to be sent.

    Attributes:
        answer: The answer.
        status: 200, or 304 if the client holds it.
        head: Its headers as they are sent.
        pieces: Its body, in pieces.
        request_id: Id of the request.
        principal: Who made the request.
    """

    answer: Answer
    status: int
    head: bytes
    pieces: list[bytes]
    request_id: str
    principal: Principal

    def sent(self) -> Ready:
        """Return it as the server sends it."""
        return _STATUS_LINES[self.status], self.head + b"\r\n", self.pieces


class FastPath:
    """The ASGI application of the server, around the application with the routes.

    The server's protocol calls `answer_now` first: a kept answer needs no task of the event loop.

    Args:
        app: The application with the routes.
        settings: The size of the cache, proxies, and whether requests are logged.
        parts: What it shares with the long way.
    """

    def __init__(self, app: ASGIApp, settings: Settings, parts: Parts) -> None:
        self._app, self._parts = app, parts
        self._requests = PlainRequests(settings, parts.limits.hosts)
        self._cache = AnswerCache(settings.answer_cache_mb * 1_000_000)
        self._is_logged = settings.access_log
        self._counts_here = parts.limits.rates.counter.is_shared_memory
        self._proxied: ASGIApp | None = None
        if settings.trusted_proxies:
            proxies = list(settings.trusted_proxies)
            self._proxied = ProxyHeadersMiddleware(self._answer, trusted_hosts=proxies)  # type: ignore[assignment,arg-type]

    @property
    def state(self) -> Any:
        """The state of the application with the routes."""
        return self._app.state  # type: ignore[attr-defined]

    def answer_now(self, scope: Scope) -> Ready | None:
        """Return the answer of a plain read if it is kept.

        None if the application must be called: nothing was counted then.
        """
        if self._proxied is not None or not self._counts_here or not self._requests.concerns(scope):
            return None
        begin = perf_counter()
        request = scope[_READ] = self._requests.read(scope)
        answer = None if request is None else self._cache.find(request.key)
        if request is None or answer is None:
            return None
        state, principal = self._parts.watch.current(), self._kept_principal(request)
        if state is None or principal is None or not answer.holds(state, monotonic()):
            return None
        limits = self._parts.limits
        if not limits.room.has_place(client_address(scope)):
            return None
        rates = limits.rates.count_here(scope, principal.key_id)
        if rates is None:
            return None
        ready = _prepare(request, principal, answer, state, rates)
        self._report(scope, ready, begin)
        return ready.sent()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if UNSENT in scope:
            await self._send_unsent(scope, send)
        elif not self._requests.concerns(scope):
            await self._app(scope, receive, send)
        elif self._proxied is None:
            await self._answer(scope, receive, send)
        else:
            await self._proxied(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin = perf_counter()
        request = scope[_READ] if _READ in scope else self._requests.read(scope)
        if request is None:
            await self._app(scope, receive, send)
            return
        kept, symbol = self._cache.find(request.key), self._requests.symbol(request.key)
        if kept is not None or symbol is not None:
            principal = await self._principal(request)
            if principal is not None and await self._serve(scope, send, request, principal, begin):
                return
        await self._app(scope, receive, send)
        made: Answer | None = scope.get("state", {}).get(KEPT_ANSWER)
        if made is not None:
            self._cache.keep(request.key, made)

    def _kept_principal(self, request: PlainRequest) -> Principal | None:
        """Return who may read, as it is known without waiting; None for every other request."""
        if request.shown is None:
            return ANONYMOUS
        principal = self._parts.authenticator.kept_principal(request.shown.token, request.shown.hash)
        return principal if principal is not None and KeyScope.READ in principal.scopes else None

    async def _principal(self, request: PlainRequest) -> Principal | None:
        """Return who may read; None for every other request: the long way says why it is refused."""
        principal = self._kept_principal(request)
        if principal is not None or request.shown is None:
            return principal
        # At its first use, the long way counts guesses.
        if not self._parts.authenticator.is_known(request.shown.hash):
            return None
        try:
            credential = Credential(CredentialKind.KEY, request.shown.token)
            principal = await self._parts.authenticator.find(credential)
        except (TplusError, SQLAlchemyError):
            return None
        return principal if principal is not None and KeyScope.READ in principal.scopes else None

    async def _serve(self, scope: Scope, send: Send, request: PlainRequest, principal: Principal, begin: float) -> bool:
        """Answer a request, within the limits; returns False if the long way must."""
        limits, metrics, address = self._parts.limits, self._parts.metrics, client_address(scope)
        if limits.room.enter(address) is not None:
            return False
        try:
            rates = await limits.rates.count_read(scope, principal.key_id)
            if rates is None:
                return False
            found = await self._find(scope, request)
            if found is None:
                scope.setdefault("state", {})[COUNTED] = rates
                return False
            ready = _prepare(request, principal, *found, rates)
            metrics.begin()
            await self._send(scope, send, ready, begin)
        finally:
            limits.room.leave(address)
        return True

    async def _find(self, scope: Scope, request: PlainRequest) -> tuple[Answer, DatabaseState] | None:
        """Return the answer and the state that it is sent for; None if only a route can make it."""
        watch, key = self._parts.watch, request.key
        try:
            async with asyncio.timeout(MOST_WAIT_SECONDS):
                state = await watch.wait()
                kept = self._cache.find(key)
                if kept is not None and state is not None and kept.holds(state, monotonic()):
                    return kept, state
                symbol = self._requests.symbol(key)
                if symbol is None:
                    return None
                loaded = await self._parts.loader.load(symbol)
        except (TplusError, SQLAlchemyError, TimeoutError):
            return None
        except Exception:
            # Another symbol of the same reading may be the cause: the long way reads this one alone.
            _log.warning("a reading of forecasts failed; each is read by itself", exc_info=True)
            return None
        documents = loaded.documents.get(symbol)
        if documents is None:
            return None
        watch.offer(loaded.state, loaded.started)
        tag = forecast_tag(self._requests.address(scope, key), loaded.state)
        answer = make_answer(loaded.state, documents, ONE_ROUTE, tag, VARY["Vary"])
        self._cache.keep(key, answer)
        return answer, loaded.state

    async def _send(self, scope: Scope, send: Send, ready: _Prepared, begin: float) -> None:
        write = scope.get(WRITE_READY)
        is_short = sum(map(len, ready.pieces)) <= LARGE
        if is_short:
            self._report(scope, ready, begin)
            self._parts.metrics.leave()
        if is_short and write is not None and write(ready.sent()):
            return
        headers = [tuple(line.split(b": ", 1)) for line in ready.head.splitlines()]
        await send({"type": "http.response.start", "status": ready.status, "headers": headers})
        left = await _send_pieces(send, b"".join(ready.pieces))
        if not is_short:
            self._report(scope, ready, begin)
            self._parts.metrics.leave()
        await send({"type": "http.response.body", "body": left})

    async def _send_unsent(self, scope: Scope, send: Send) -> None:
        """Send what a slow client left of an answer that is counted: it takes room like any other request."""
        room, address = self._parts.limits.room, client_address(scope)
        has_place = room.enter(address) is None
        self._parts.metrics.begin()
        try:
            # Taken out: the scope lives until the next request, and would hold the whole body.
            await send({"type": "http.response.body", "body": await _send_pieces(send, scope.pop(UNSENT))})
        finally:
            self._parts.metrics.leave()
            if has_place:
                room.leave(address)

    def _report(self, scope: Scope, ready: _Prepared, begin: float) -> None:
        """Count and log a request before its last part leaves: then the client's next scrape has it."""
        seconds = perf_counter() - begin
        self._parts.metrics.count(ready.answer.route, "GET", ready.status, seconds)
        if self._is_logged:
            client = scope.get("client")
            record = RequestRecord(client[0] if client else None, ready.answer.route, ready.status)
            write_line(
                record, ready.request_id, "GET", seconds, None if ready.principal is ANONYMOUS else ready.principal
            )


async def _send_pieces(send: Send, body: bytes | memoryview) -> memoryview:
    """Send a large body but for its last part, which is returned."""
    left = memoryview(body)  # its parts are no copies
    while len(left) > PIECE:
        await send({"type": "http.response.body", "body": left[:PIECE], "more_body": True})
        left = left[PIECE:]
        await asyncio.sleep(0)  # the event loop sees whether the client has left
    return left


def _prepare(
    request: PlainRequest,
    principal: Principal,
    answer: Answer,
    state: DatabaseState,
    rates: Pairs,
) -> _Prepared:
    request_id = chosen_id(request.heads.get(_ID_NAME, b"").decode("latin-1"))
    tags = request.heads.get(b"if-none-match")
    is_held = tags is not None and names_tag(tags.decode("latin-1"), answer.tag)
    lines, pieces = [answer.head], []
    if not is_held:
        pieces = answer.pieces(state)
        lines.append(b"content-length: %d\r\n" % sum(map(len, pieces)) + _CONTENT_TYPE)
    lines += [b"%b: %b\r\n" % pair for pair in rates]
    lines.append(b"%b%b: %b\r\n" % (_SECURITY, _ID_NAME, request_id.encode()))
    return _Prepared(answer, 304 if is_held else 200, b"".join(lines), pieces, request_id, principal)
