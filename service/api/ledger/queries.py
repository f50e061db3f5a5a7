"""Reads the heads of both hash chains."""

from sqlalchemy import Connection, Table, select

from service.api.ledger.schemas import ChainHead, Ledger
from service.db.tables import editions, score_batches


def read_chain_heads(connection: Connection) -> Ledger:
    """Return the heads; a chain without links has number 0."""
    return Ledger(editions=_head(connection, editions), score_batches=_head(connection, score_batches))


def _head(connection: Connection, table: Table) -> ChainHead:
    query = select(table.c.number, table.c.hash, table.c.recorded_at).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return ChainHead() if row is None else ChainHead(number=row.number, hash=row.hash, recorded_at=row.recorded_at)
