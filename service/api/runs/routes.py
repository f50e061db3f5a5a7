"""GET and POST /v1/runs, GET /v1/runs/{id}."""

from fastapi import APIRouter, Response

from service.api.access.require import RunAccess
from service.api.common.dependencies import ReaderDependency
from service.api.common.errors import BadParameter
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, Id, JobQuery, Limit, RunScopeQuery, RunStateQuery
from service.api.common.queries import Page, read_newest_rows
from service.api.common.rows import RunRow
from service.api.common.schemas import problems
from service.api.run_requests.limits import check_scope
from service.api.run_requests.schemas import BackfillRun, RunBody, RunRequestItem
from service.api.run_requests.submit import ACCEPTED, RESPONSES, Submission, SubmitterDependency
from service.api.runs.queries import read_outcomes, read_run
from service.api.runs.schemas import RunAnswer, RunItem, RunOutcome, RunPage
from service.db.tables import runs
from service.vocabulary import RequestKind

router = APIRouter(prefix="/v1/runs", tags=["runs"])

_KIND = "runs"
_OUTCOMES = "outcomes"


@router.get("", summary="Runs", responses=problems(404))
def list_runs(
    reader: ReaderDependency,
    job: JobQuery = None,
    scope: RunScopeQuery = None,
    state: RunStateQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> RunPage:
    """Runs, newest first, with their times, states and counts."""
    keys = decode(_KIND, cursor, int)
    with reader.snapshot() as snapshot:
        before = None if keys is None else int(str(keys[0]))
        page = Page({"job": job, "scope": scope, "state": state}, before, limit + 1)
        rows = read_newest_rows(snapshot.connection, runs, RunRow, page)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.id,))
    return RunPage(items=[RunItem.of(row) for row in page_rows], next_cursor=next_cursor)


@router.post("", summary="Request a run", status_code=ACCEPTED, response_model=RunRequestItem, responses=RESPONSES)
def request_run(submitter: SubmitterDependency, principal: RunAccess, body: RunBody) -> Response:
    """Request a pull, score, forecast or backfill of a calendar, or a training of a group.

    The scheduler plans it at the newest final session. A run of that session that has not ended is not repeated.
    """
    if isinstance(body, BackfillRun) and body.first > body.last:
        raise BadParameter("first", "is after last; give the older session first, both are included")
    check = Submission(
        RequestKind.RUN, body.model_dump(mode="json"), lambda writing: check_scope(writing, body.job, body.scope)
    )
    return submitter.submit(principal, check)


@router.get("/{id}", summary="One run with its outcomes", responses=problems(404))
def get_run(reader: ReaderDependency, id: Id, cursor: Cursor = None, limit: Limit = 500) -> RunAnswer:
    """A run with its outcomes by symbol, in pages."""
    keys = decode(_OUTCOMES, cursor, str)
    with reader.snapshot() as snapshot:
        row = read_run(snapshot.connection, id)
        rows = read_outcomes(snapshot.connection, id, None if keys is None else str(keys[0]), limit + 1)
    page_rows, next_cursor = cut(rows, limit, _OUTCOMES, lambda outcome: (outcome.symbol,))
    outcomes = [RunOutcome.of(outcome) for outcome in page_rows]
    return RunAnswer.model_validate({**row._asdict(), "outcomes": outcomes, "next_cursor": next_cursor})
