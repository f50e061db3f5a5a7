"""Turns errors into problem documents (RFC 9457): every message says what, where and what to do.

The client gets one sentence and a request id, never a stack trace; the log has the trace under that id.
"""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service.api.common.patterns import PATTERNS
from service.api.common.schemas import MEDIA_TYPE, BadField, Problem
from service.db.revision import HEAD, revision_problem
from service.db.session import Database, driver_message
from service.errors import DatabaseError, NotFound, NotYet, TplusError
from service.validation_messages import validation_message, validation_rule

_log = logging.getLogger(__name__)

RETRY_SECONDS = 30
"""Default of Retry-After."""

SECRET_PARAMETERS = frozenset({"target"})
"""Parameters whose values are secrets: messages do not repeat them."""

REQUEST_ID_HEADER = "X-Request-ID"


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


def add_error_handlers(app: FastAPI, database: Database) -> None:
    """Answer every error with a problem document."""

    async def on_bad_parameter(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, BadParameter)
        return bad_input(request, [BadField(parameter=error.parameter, message=error.sentence)], str(error))

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return bad_input(request, [_field(item) for item in error.errors()])

    async def on_not_found(request: Request, error: Exception) -> JSONResponse:
        return problem(request, 404, str(error))

    async def on_not_yet(request: Request, error: Exception) -> JSONResponse:
        return problem(request, 503, str(error))

    async def on_not_authenticated(request: Request, error: Exception) -> JSONResponse:
        return problem(request, 401, str(error), {"WWW-Authenticate": "Bearer"})

    async def on_not_permitted(request: Request, error: Exception) -> JSONResponse:
        return problem(request, 403, str(error))

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return wrong_method(request, (error.headers or {}).get("Allow", ""))
        detail = "the route does not exist; see /docs" if error.status_code == 404 else str(error.detail)
        return problem(request, error.status_code, detail, dict(error.headers or {}))

    def on_database(request: Request, error: Exception) -> JSONResponse:
        reason = database_fault(database)
        if reason is None:
            _log.error("request %s failed", request_id(request), exc_info=error)
            return unexpected(request)
        _log.warning("request %s: %s", request_id(request), reason)
        return problem(request, 503, reason)

    async def on_unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("request %s failed", request_id(request), exc_info=error)
        return unexpected(request)

    app.add_exception_handler(BadParameter, on_bad_parameter)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(NotAuthenticated, on_not_authenticated)
    app.add_exception_handler(NotPermitted, on_not_permitted)
    app.add_exception_handler(NotFound, on_not_found)
    app.add_exception_handler(NotYet, on_not_yet)
    app.add_exception_handler(DatabaseError, on_not_yet)
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


def unexpected(request: Request) -> JSONResponse:
    """Return 500: an internal error."""
    detail = f"internal error; the log has details under request id {request_id(request)}"
    return problem(request, 500, detail)


def request_id(request: Request) -> str:
    """Return the id of a request in the log."""
    return str(getattr(request.state, "request_id", "unknown"))


def database_fault(database: Database) -> str | None:
    """Return why the database cannot be read, as one sentence; None if it can."""
    url = database.engine.url.render_as_string(hide_password=True)
    try:
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        reason = f" ({driver_message(error)})" if isinstance(error, DBAPIError) else ""
        return f"the database {url} cannot be reached{reason}; start it or check TPLUS_DATABASE_URL"
    try:
        with database.engine.connect() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    except SQLAlchemyError:
        revision = None
    if revision == HEAD:
        return None
    return revision_problem(url, revision)


def _field(item: Any) -> BadField:
    location = [str(part) for part in item["loc"] if part not in ("query", "path", "body", "header")]
    parameter = location[0] if location else "request"
    message = (validation_rule if parameter in SECRET_PARAMETERS else validation_message)(item, PATTERNS)
    return BadField(parameter=parameter, message=message)


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
    extra = {REQUEST_ID_HEADER: document.request_id, **(headers or {})}
    if document.status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra["Retry-After"] = str(RETRY_SECONDS)
    content = document.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, document.status, extra, media_type=MEDIA_TYPE)
