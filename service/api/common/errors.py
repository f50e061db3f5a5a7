"""Turns errors into problem documents (RFC 9457): every message says what, where and what to do.

The client gets one sentence and a request id, never a stack trace; the log has the trace under that id.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Match, Mount

from service.api.common.headers import API_HEADERS
from service.api.common.patterns import PATTERNS
from service.api.common.schemas import MEDIA_TYPE, BadField, Problem
from service.db.fault_reason import fault_reason
from service.db.revision import HEAD, revision_problem
from service.db.session import Database, display_url, driver_message
from service.errors import DatabaseError, NotFound, NotYet, TplusError
from service.validation_messages import validation_message, validation_rule

_log = logging.getLogger(__name__)

RETRY_SECONDS = 30
"""Default of Retry-After."""

REQUEST_ID_HEADER = "X-Request-ID"

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


class BadParameter(TplusError):
    """An invalid parameter that passed its own check.

    Attributes:
        parameter: Its name.
        sentence: The problem: a predicate such as `is given twice`, or a whole sentence if `is_whole`.
    """

    def __init__(self, parameter: str, sentence: str, *, is_whole: bool = False) -> None:
        super().__init__(sentence if is_whole else f"{parameter} {sentence}")
        self.parameter = parameter
        self.sentence = sentence


class NotAuthenticated(TplusError):
    """A key is required, or the key is not valid: status 401."""


class NotPermitted(TplusError):
    """The key lacks the scope of the route: status 403."""


class Conflict(TplusError):
    """The request does not fit the present state: status 409."""


class TooMany(TplusError):
    """A limit on requests is reached: status 429.

    Attributes:
        retry_after: Seconds after which another request may be accepted.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


_STATUSES: Mapping[type[Exception], int] = {
    NotPermitted: 403,
    NotFound: 404,
    Conflict: 409,
    NotYet: 503,
    DatabaseError: 503,
}
"""Error -> status of its problem document, which repeats the error's message."""


def add_error_handlers(app: FastAPI, database: Database) -> None:
    """Answer every error with a problem document."""

    async def on_bad_parameter(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BadParameter)
        return bad_input(request, [BadField(parameter=error.parameter, message=error.sentence)], str(error))

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return bad_input(request, [_field(item) for item in error.errors()])

    async def on_known(request: Request, error: Exception) -> JSONResponse:
        status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
        return problem(request, status, str(error))

    async def on_not_authenticated(request: Request, error: Exception) -> JSONResponse:
        return problem(request, 401, str(error), {"WWW-Authenticate": "Bearer"})

    async def on_too_many(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, TooMany)
        return problem(request, 429, str(error), {"Retry-After": str(error.retry_after)})

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return wrong_method(request, _permitted(request) or (error.headers or {}).get("Allow", ""))
        detail = "the route does not exist; see /docs" if error.status_code == 404 else str(error.detail)
        return problem(request, error.status_code, detail, dict(error.headers or {}))

    def on_database(request: Request, error: Exception) -> JSONResponse:
        fault = database_fault(database)
        if fault is None:
            _log.error("request %s failed", request_id(request), exc_info=error)
            return unexpected(request)
        _log.warning("request %s: %s", request_id(request), fault.detail)
        return problem(request, 503, fault.sentence)

    async def on_unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("request %s failed", request_id(request), exc_info=error)
        return unexpected(request)

    app.add_exception_handler(BadParameter, on_bad_parameter)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(NotAuthenticated, on_not_authenticated)
    for kind in _STATUSES:
        app.add_exception_handler(kind, on_known)
    app.add_exception_handler(TooMany, on_too_many)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(SQLAlchemyError, on_database)
    app.add_exception_handler(Exception, on_unexpected)


def problem(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem document for a request."""
    return _respond(_document(request, status, detail), headers)


def bad_input(request: Request, fields: list[BadField], detail: str | None = None) -> JSONResponse:
    """Return 422; the message names each parameter and its problem."""
    detail = detail or "; ".join(f"{item.parameter} {item.message}" for item in fields)
    return _respond(_document(request, 422, detail).model_copy(update={"errors": fields}))


def wrong_method(request: Request, allowed: str) -> JSONResponse:
    """Return 405 with the methods that the route permits.

    Args:
        request: The request.
        allowed: Methods that the router names, separated by commas; HEAD is permitted wherever GET is.
    """
    methods = {name.strip() for name in allowed.split(",") if name.strip()} or {"GET"}
    methods |= {"HEAD"} if "GET" in methods else set()
    names = sorted(methods)
    sentence = f"{request.method[:20]} is not permitted here; this route permits {' and '.join(names)}"
    return problem(request, HTTPStatus.METHOD_NOT_ALLOWED, sentence, {"Allow": ", ".join(names)})


def _permitted(request: Request) -> str:
    """Return the methods of every route of the requested path; the router names those of one route only."""
    routes = [route for route in request.app.routes if not isinstance(route, Mount)]
    found = (
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    )
    return ", ".join(found)


def unexpected(request: Request) -> JSONResponse:
    """Return 500: an internal error."""
    detail = f"internal error; the log has details under request id {request_id(request)}"
    return problem(request, 500, detail)


def request_id(request: Request) -> str:
    """Return the id of a request in the log."""
    return str(getattr(request.state, "request_id", "unknown"))


@dataclass(frozen=True, slots=True)
class DatabaseFault:
    """Why the database cannot be read, as one sentence.

    Attributes:
        sentence: For answers: without path, host, user and name of the database.
        detail: For the log and the command line: with its URL and the driver's message.
    """

    sentence: str
    detail: str


def database_fault(database: Database) -> DatabaseFault | None:
    """Return why the database cannot be read; None if it can. A new reason is logged once."""
    fault = _find_fault(database)
    if fault is None:
        _reported.pop(database, None)
    elif _reported.get(database) != fault.detail:
        _reported[database] = fault.detail
        _log.warning("%s", fault.detail)
    return fault


def _find_fault(database: Database) -> DatabaseFault | None:
    url = display_url(database)
    advice = "start it or check TPLUS_DATABASE_URL"
    try:
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        reason = f" ({driver_message(error)})" if isinstance(error, DBAPIError) else ""
        return DatabaseFault(
            f"the database cannot be reached ({fault_reason(error)}); {advice}",
            f"the database {url} cannot be reached{reason}; {advice}",
        )
    try:
        with database.engine.connect() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except SQLAlchemyError:
        revision = None
    if revision == HEAD:
        return None
    return DatabaseFault(revision_problem("", revision), revision_problem(url, revision))


_reported: WeakKeyDictionary[Database, str] = WeakKeyDictionary()
"""The fault of each database that was logged last: it is read every second."""


def _field(item: Any) -> BadField:
    place, *parts = item["loc"]
    location = [part for part in parts if isinstance(part, str)]
    is_body = place == "body"
    # In a body the kind of document comes before the field.
    name = (location[-1] if is_body else location[0])[:40] if location else "request"
    # A body may hold a secret, such as a key: no answer repeats what was given there.
    message = validation_rule(item, PATTERNS) if is_body else validation_message(item, PATTERNS)
    return BadField(parameter=name, message=message)


def _document(request: Request, status: int, detail: str) -> Problem:
    title = HTTPStatus(status).phrase
    slug = title.lower().replace(" ", "-")
    return Problem(
        type=f"urn:tplus:problem:{slug}",
        title=title,
        status=status,
        detail=detail,
        instance=request.url.path,
        request_id=request_id(request),
    )


def _respond(document: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    # An unexpected error is answered outside of the middleware that sets the security headers elsewhere.
    extra = {**API_HEADERS, REQUEST_ID_HEADER: document.request_id, **(headers or {})}
    if document.status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra.setdefault("Retry-After", str(RETRY_SECONDS))
    content = document.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, document.status, extra, media_type=MEDIA_TYPE)
