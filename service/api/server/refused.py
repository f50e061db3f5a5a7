"""Answers of the protocol itself, for requests that never reach the application."""

import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from service.api.common.errors import REQUEST_ID_HEADER
from service.api.common.headers import API_HEADERS
from service.api.common.schemas import MEDIA_TYPE, Problem

RETRY_AFTER_SECONDS = 5
"""When a client that was refused for lack of room may try again."""

_PHRASES = {413: "Content Too Large", 414: "URI Too Long", 431: "Request Header Fields Too Large"}


class Refused(Exception):
    """A request that breaks a limit, raised inside the parser's callbacks.

    Attributes:
        status: The HTTP status of the answer.
        detail: What, and what is allowed.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def answer_bytes(refused: Refused, path: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a whole HTTP answer with a problem document; the connection is closed after it.

    Args:
        refused: Why.
        path: The requested path, as far as it is known.
        default_headers: Headers of every answer of the server, such as Date.
    """
    title = _PHRASES.get(refused.status, HTTPStatus(refused.status).phrase)
    request_id = uuid.uuid4().hex
    document = Problem(
        type=f"urn:tplus:problem:{title.lower().replace(' ', '-')}",
        title=title,
        status=refused.status,
        detail=refused.detail,
        instance=path[:200],
        request_id=request_id,
    )
    body = document.model_dump_json(exclude_none=True).encode()
    headers: Mapping[str, str] = {
        **API_HEADERS,
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        REQUEST_ID_HEADER: request_id,
        **({"Retry-After": str(RETRY_AFTER_SECONDS)} if refused.status == HTTPStatus.SERVICE_UNAVAILABLE else {}),
    }
    lines = [f"HTTP/1.1 {refused.status} {title}".encode()]
    lines += [name + b": " + value for name, value in default_headers]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
