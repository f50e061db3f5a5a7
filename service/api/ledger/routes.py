"""GET /v1/ledger."""

from fastapi import APIRouter

from service.api.common.dependencies import ReaderDependency
from service.api.common.schemas import problems
from service.api.ledger.queries import read_chain_heads
from service.api.ledger.schemas import Ledger

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])


@router.get("", summary="Heads of the ledger's hash chains", responses=problems())
def get_ledger(reader: ReaderDependency) -> Ledger:
    """Number and hash of the newest edition and the newest score batch.

    Keep them outside the service: `tplus ledger verify --head HASH` shows whether anything older was altered.
    """
    with reader.snapshot() as snapshot:
        return read_chain_heads(snapshot.connection)
