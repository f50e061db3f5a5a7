"""GET /v1/status."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.common.schemas import problems
from service.api.status.read_status import StatusReader
from service.api.status.schemas import Status

router = APIRouter(prefix="/v1/status", tags=["health"])


async def _status_reader(request: Request) -> StatusReader:
    status_reader: StatusReader = request.app.state.status
    return status_reader


@router.get("", summary="Status of the service", responses=problems())
def get_status(status_reader: Annotated[StatusReader, Depends(_status_reader)]) -> Status:
    """Freshness, the scheduler, the watchlist, a running training and current problems, in one document.

    An empty database gives `notice_kind` "empty" and a sentence in `notice`.
    """
    return status_reader.read()
