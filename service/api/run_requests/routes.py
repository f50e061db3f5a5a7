"""GET /v1/run-requests and /v1/run-requests/{id}."""

from fastapi import APIRouter, Request

from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, Id, Limit, RequestKindQuery, RequestStateQuery
from service.api.common.queries import Page, read_newest_rows
from service.api.common.schemas import problems
from service.api.run_requests.queries import RunRequestRow, read_run_request
from service.api.run_requests.schemas import RunRequestItem, RunRequestPage
from service.api.run_requests.submit import request_document
from service.db.tables import run_requests

router = APIRouter(prefix="/v1/run-requests", tags=["runs"])

_KIND = "run-requests"


@router.get("", summary="Run requests", responses=problems(404))
def list_run_requests(
    request: Request,
    reader: ReaderDependency,
    kind: RequestKindQuery = None,
    state: RequestStateQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> RunRequestPage:
    """Requests of clients and commands, newest first, with their states and runs."""
    keys = decode(_KIND, cursor, int)
    with reader.snapshot() as snapshot:
        before = None if keys is None else int(str(keys[0]))
        page = Page({"kind": kind, "state": state}, before, limit + 1)
        rows = read_newest_rows(snapshot.connection, run_requests, RunRequestRow, page)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.id,))
    root_path = str(request.scope.get("root_path", ""))
    return RunRequestPage(items=[request_document(row, root_path) for row in page_rows], next_cursor=next_cursor)


@router.get("/{id}", summary="One run request", responses=problems(404))
def get_run_request(request: Request, reader: ReaderDependency, id: Id) -> RunRequestItem:
    """A request: its state, the reason if it was rejected or has failed, and its runs."""
    with reader.snapshot() as snapshot:
        row = read_run_request(snapshot.connection, id)
    return request_document(row, str(request.scope.get("root_path", "")))
