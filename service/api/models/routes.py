"""GET /v1/models and /v1/models/{id}; POST to promote, pin, unpin, and /v1/rollbacks."""

from fastapi import APIRouter, Response

from service.api.access.require import AdminAccess
from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, GroupQuery, Id, Limit, StatusQuery, StrategyQuery
from service.api.common.queries import Page, read_newest_rows
from service.api.common.schemas import problems
from service.api.models.queries import ModelRow, read_decisions, read_version
from service.api.models.schemas import Decision, ModelAnswer, ModelItem, ModelPage
from service.api.run_requests.schemas import ReasonBody, RollbackBody, RunRequestItem
from service.api.run_requests.submit import ACCEPTED, RESPONSES, Submission, SubmitterDependency
from service.db.tables import model_versions
from service.vocabulary import RequestKind

router = APIRouter(prefix="/v1", tags=["models"])

_KIND = "models"


@router.get("/models", summary="Model versions", responses=problems(404))
def list_models(
    reader: ReaderDependency,
    group: GroupQuery = None,
    strategy: StrategyQuery = None,
    status: StatusQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> ModelPage:
    """Model versions, baselines included, newest first, with their held-out figures."""
    keys = decode(_KIND, cursor, int)
    filters = {"group": group, "strategy": strategy, "status": status}
    with reader.snapshot() as snapshot:
        before = None if keys is None else int(str(keys[0]))
        page = Page(filters, before, limit + 1)
        rows = read_newest_rows(snapshot.connection, model_versions, ModelRow, page)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.id,))
    return ModelPage(items=[ModelItem.of(row) for row in page_rows], next_cursor=next_cursor)


@router.get("/models/{id}", summary="One model version", responses=problems(404))
def get_model(reader: ReaderDependency, id: Id) -> ModelAnswer:
    """A model version with its specs and every decision about it."""
    with reader.snapshot() as snapshot:
        row = read_version(snapshot.connection, id)
        decisions = [Decision.of(item) for item in read_decisions(snapshot.connection, id)]
    return ModelAnswer.model_validate({**row._asdict(), "decisions": decisions})


@router.post(
    "/rollbacks",
    summary="Restore the version before",
    status_code=ACCEPTED,
    response_model=RunRequestItem,
    responses=RESPONSES,
)
def request_rollback(submitter: SubmitterDependency, principal: AdminAccess, body: RollbackBody) -> Response:
    """Request that a group and strategy are served by the version that served before the current one."""
    return submitter.submit(principal, Submission(RequestKind.ROLL_BACK, body.model_dump()))


@router.post(
    "/models/{id}/promote",
    summary="Promote a version",
    status_code=ACCEPTED,
    response_model=RunRequestItem,
    responses={**RESPONSES, **problems(404)},
)
def request_promotion(
    reader: ReaderDependency, submitter: SubmitterDependency, principal: AdminAccess, id: Id, body: ReasonBody
) -> Response:
    """Request that a version serves its group and strategy from the next edition on, whatever the gate decided."""
    return _submit(RequestKind.PROMOTE, reader, submitter, principal, id, body)


@router.post(
    "/models/{id}/pin",
    summary="Pin a version",
    status_code=ACCEPTED,
    response_model=RunRequestItem,
    responses={**RESPONSES, **problems(404)},
)
def request_pin(
    reader: ReaderDependency, submitter: SubmitterDependency, principal: AdminAccess, id: Id, body: ReasonBody
) -> Response:
    """Request that no training replaces the version that serves, whichever network the settings choose."""
    return _submit(RequestKind.PIN, reader, submitter, principal, id, body)


@router.post(
    "/models/{id}/unpin",
    summary="Unpin a version",
    status_code=ACCEPTED,
    response_model=RunRequestItem,
    responses={**RESPONSES, **problems(404)},
)
def request_unpin(
    reader: ReaderDependency, submitter: SubmitterDependency, principal: AdminAccess, id: Id, body: ReasonBody
) -> Response:
    """Request that the gate decides again at the next training of the version's group."""
    return _submit(RequestKind.UNPIN, reader, submitter, principal, id, body)


def _submit(
    kind: RequestKind,
    reader: ReaderDependency,
    submitter: SubmitterDependency,
    principal: AdminAccess,
    version: int,
    body: ReasonBody,
) -> Response:
    with reader.snapshot() as snapshot:
        read_version(snapshot.connection, version)
    return submitter.submit(principal, Submission(kind, {"version": version, "reason": body.reason}))
