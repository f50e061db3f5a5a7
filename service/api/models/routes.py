"""GET /v1/models and /v1/models/{id}."""

from fastapi import APIRouter

from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, GroupQuery, Id, Limit, StatusQuery, StrategyQuery
from service.api.common.queries import Page, read_newest_rows
from service.api.common.schemas import problems
from service.api.models.queries import ModelRow, read_decisions, read_version
from service.api.models.schemas import Decision, ModelAnswer, ModelItem, ModelPage
from service.db.tables import model_versions

router = APIRouter(prefix="/v1/models", tags=["models"])

_KIND = "models"


@router.get("", summary="Model versions", responses=problems())
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


@router.get("/{id}", summary="One model version", responses=problems(404))
def get_model(reader: ReaderDependency, id: Id) -> ModelAnswer:
    """A model version with its specs and every decision about it."""
    with reader.snapshot() as snapshot:
        row = read_version(snapshot.connection, id)
        decisions = [Decision.of(item) for item in read_decisions(snapshot.connection, id)]
    return ModelAnswer.model_validate({**row._asdict(), "decisions": decisions})
