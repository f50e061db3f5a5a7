"""Writes a run request for a route, with its audit entry, and answers with its document."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from service.api.access.principal import Principal
from service.api.common.dependencies import Reader, ReaderDependency, Writing
from service.api.common.errors import BadParameter, request_id
from service.api.common.parameters import IdempotencyKey
from service.api.common.schemas import problems
from service.api.run_requests.limits import check_limits
from service.api.run_requests.queries import RunRequestRow, read_run_request
from service.api.run_requests.schemas import RunLink, RunRequestItem
from service.audit import AuditEntry, Author, record
from service.run_requests.answers import StoredAnswer, find_answer, forget_answer, lock_requests, store_answer
from service.run_requests.store import NewRequest, write_request
from service.vocabulary import RequestKind

ACCEPTED = 202

RESPONSES: dict[int | str, dict[str, Any]] = {
    **problems(400, 409, 429),
    ACCEPTED: {
        "description": "The scheduler carries it out; follow the address in Location",
        "headers": {
            "Location": {
                "description": "path of the request's document",
                "required": True,
                "schema": {"type": "string", "examples": ["/v1/run-requests/12"]},
            }
        },
    },
}
"""`responses` of the routes that write a request; those of one resource add 404."""

Check = Callable[[Writing], None]


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as a route makes it.

    Attributes:
        kind: What it changes.
        body: Its parameters, plain JSON.
        check: Raises a refusal inside the transaction that writes the request; None = no further check.
    """

    kind: RequestKind
    body: Mapping[str, Any]
    check: Check | None = None


class Submitter:
    """Writes the requests of one HTTP request.

    Args:
        request: The HTTP request.
        reader: Opens the write transaction.
        idempotency_key: The client's key for it, or None.
    """

    def __init__(self, request: Request, reader: Reader, idempotency_key: str | None) -> None:
        self._request, self._reader, self._key = request, reader, idempotency_key

    @property
    def root_path(self) -> str:
        """Path below which the service is published."""
        return str(self._request.scope.get("root_path", ""))

    def submit(self, principal: Principal, submission: Submission) -> Response:
        """Write a request, or repeat the answer of the earlier one with the same idempotency key.

        Raises:
            BadParameter: the idempotency key was used for another request.
            Conflict, TooMany: a limit is reached.
        """
        author = Author(principal.name, request_id(self._request))
        new = NewRequest(submission.kind, submission.body, author, principal.key_id, self._key)
        with self._reader.writing() as writing:
            lock_requests(writing.connection)
            earlier = find_answer(writing.connection, new, writing.machine_now)
            if earlier is not None and earlier.body_hash == new.body_hash:
                return _response(earlier.answer)
            if earlier is not None:
                raise BadParameter(
                    "Idempotency-Key", "was used for another request within 24 hours; use a new key for a new request"
                )
            if submission.check is not None:
                submission.check(writing)
            job = submission.body.get("job")
            check_limits(writing, self._reader.settings, submission.kind, None if job is None else str(job))
            answer = self._write(writing, new)
        return _response(answer)

    def _write(self, writing: Writing, new: NewRequest) -> StoredAnswer:
        connection = writing.connection
        if new.idempotency_key is not None:
            forget_answer(connection, new)
        number = write_request(connection, new, writing.machine_now)
        document = request_document(read_run_request(connection, number), self.root_path)
        answer = StoredAnswer(f"{self.root_path}/v1/run-requests/{number}", document.model_dump_json())
        if new.idempotency_key is not None and new.key_id is not None:
            store_answer(connection, number, answer, writing.machine_now)
        detail = {"kind": new.kind, "body": dict(new.body)}
        entry = AuditEntry("run_requests.create", str(number), detail, new.author.name, new.author.request_id)
        record(connection, entry, writing.machine_now)
        return answer


def request_document(row: RunRequestRow, root_path: str) -> RunRequestItem:
    """Return the document of a request.

    Args:
        row: The request.
        root_path: Path below which the service is published, for the links.
    """
    result = row.result or {}
    return RunRequestItem(
        id=row.id,
        kind=row.kind,
        body=row.body,
        state=row.state,
        reason=row.error,
        note=result.get("note"),
        requested_by=row.actor,
        created_at=row.created_at,
        finished_at=row.finished_at,
        runs=[RunLink(id=run, href=f"{root_path}/v1/runs/{run}") for run in result.get("runs", ())],
    )


def _response(answer: StoredAnswer) -> Response:
    return Response(answer.body, ACCEPTED, {"Location": answer.location}, "application/json")


async def _submitter(request: Request, reader: ReaderDependency, idempotency_key: IdempotencyKey = None) -> Submitter:
    return Submitter(request, reader, idempotency_key)


SubmitterDependency = Annotated[Submitter, Depends(_submitter)]
