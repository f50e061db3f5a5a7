"""GET /v1/audit."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query

from service.api.access.require import AdminAccess
from service.api.audit.schemas import AuditItem, AuditPage
from service.api.common.dependencies import ReaderDependency
from service.api.common.pagination import cut, decode
from service.api.common.parameters import Cursor, Limit
from service.api.common.patterns import ACTION_PATTERN, ACTOR_PATTERN
from service.api.common.queries import Page, read_newest_rows
from service.api.common.schemas import problems
from service.db.tables import audit

router = APIRouter(prefix="/v1/audit", tags=["audit"])

_KIND = "audit"

ActorQuery = Annotated[str | None, Query(pattern=ACTOR_PATTERN, description="name of a key, or `command line`")]
ActionQuery = Annotated[str | None, Query(pattern=ACTION_PATTERN, description="what was done, such as keys.create")]


class AuditRow(NamedTuple):
    """A row of `audit`."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    request_id: str | None


@router.get("", summary="The audit: every write and its actor", responses=problems(404))
def list_audit(
    reader: ReaderDependency,
    _principal: AdminAccess,
    actor: ActorQuery = None,
    action: ActionQuery = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> AuditPage:
    """Writes by people and clients, newest first; needs the scope `admin`."""
    keys = decode(_KIND, cursor, int)
    with reader.database.reading() as connection:
        before = None if keys is None else int(str(keys[0]))
        page = Page({"actor": actor, "action": action}, before, limit + 1)
        rows = read_newest_rows(connection, audit, AuditRow, page)
    page_rows, next_cursor = cut(rows, limit, _KIND, lambda row: (row.id,))
    return AuditPage(items=[AuditItem.of(row) for row in page_rows], next_cursor=next_cursor)
