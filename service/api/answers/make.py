"""Makes answers that can be kept: in a route, or for the fast path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import Response

from service.api.answers.answer import Answer, Template, next_change
from service.api.answers.database_state import DatabaseState
from service.api.common.etag import make_tag

MEDIA_TYPE = "application/json"

KEPT_ANSWER = "kept_answer"
"""Name in a request's state of the answer that its route has made, if it may be kept."""


Part = tuple[bytes, str, Mapping[bytes, bytes]]
"""Bytes of a document, the calendar whose time they hold, and its fields as `clock_texts` returns them."""


@dataclass(frozen=True, slots=True)
class Documents:
    """A JSON document in parts, and until when it holds.

    Attributes:
        parts: Its parts.
        changes_at: Later instants of market time at which the answer may change.
        expires: When it expires in any case, by the monotonic clock.
    """

    parts: Sequence[Part]
    changes_at: Sequence[datetime | None] = ()
    expires: float = inf


def make_answer(state: DatabaseState, documents: Documents, route: str, tag: str, vary: str = "") -> Answer:
    """Return an answer that can be kept.

    Args:
        state: The state that it was made at.
        documents: Its document.
        route: The route's template.
        tag: Its entity tag.
        vary: Value of the header `Vary`; empty = none.
    """
    until = next_change(state.now, state.next_issue_at, *documents.changes_at)
    answer = Answer(route, Template.of(documents.parts), state.cache_key, state.now, until, tag, vary)
    answer.expires = documents.expires
    return answer


def forecast_tag(url: URL | str, state: DatabaseState) -> str:
    """Return the entity tag of a JSON answer about forecasts at an address; see `entity_tag`."""
    return make_tag(state.cache_key.counter, f"{url}\njson", state.now)


def respond(request: Request, documents: Documents, answer: Answer, *, is_kept: bool) -> Response:
    """Return the response of a route, and hand the answer over to be kept.

    Args:
        request: The request.
        documents: The document of this response.
        answer: What is kept of it.
        is_kept: Whether the same request at a later time may get it.
    """
    if is_kept:
        setattr(request.state, KEPT_ANSWER, answer)
    content = b"".join([document for document, _, _ in documents.parts])
    return Response(content, media_type=MEDIA_TYPE, headers=answer_headers(answer))


def answer_headers(answer: Answer) -> dict[str, str]:
    """Return the headers of an answer, with or without its body."""
    return {**({"Vary": answer.vary} if answer.vary else {}), "ETag": answer.tag}
