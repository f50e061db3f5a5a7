"""The heads of the hash chains."""

from datetime import datetime

from pydantic import Field

from service.api.common.schemas import Answer
from service.db.hash_chain import GENESIS


class ChainHead(Answer):
    """The newest link of a hash chain."""

    number: int = Field(0, description="0 of an empty chain", examples=[412])
    hash: str = Field(
        GENESIS,
        description="SHA-256 over the link and, through the hash before it, over every older one",
        examples=["9f2c0c4dd1f5a7c2a7be0b4a7ab3ac0c6d1d8f4a4b6d6a0d6f4f3f3a1b2c3d4e"],
    )
    recorded_at: datetime | None = Field(None, description="machine time; null of an empty chain")


class Ledger(Answer):
    """The heads of both chains: keep them elsewhere to see later whether anything older was altered."""

    editions: ChainHead
    score_batches: ChainHead
