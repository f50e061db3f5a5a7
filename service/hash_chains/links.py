"""Reads the links of both chains, one at a time, so that memory does not grow with the ledger.

A link is an edition with its forecasts, or a score batch with its scores. Its hash is over its header and rows, and the
header has the hash of the link before it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, exists, func, select

from service.db.hash_chain import GENESIS, chain_hash
from service.db.tables import editions, forecasts, score_batches, scores, served_forecasts

_AT_ONCE = 500
"""Headers in one query."""

SCORE_KEY = ("edition", "symbol", "step", "model_version_id")
"""Columns that name the forecast of a score in its hash: ids may differ between databases."""

_NOT_HASHED = ("hash", "run_id")


class Chain(StrEnum):
    """One of the two chains; the value is the name of a link in messages."""

    EDITIONS = "edition"
    SCORE_BATCHES = "score batch"

    @property
    def plural(self) -> str:
        """The name of several links."""
        return "editions" if self is Chain.EDITIONS else "score batches"


PARTS: Mapping[Chain, tuple[str, ...]] = {Chain.EDITIONS: ("forecasts", "items"), Chain.SCORE_BATCHES: ("scores",)}
"""Names of the rows that a link's hash covers."""

_HEADERS: Mapping[Chain, Table] = {Chain.EDITIONS: editions, Chain.SCORE_BATCHES: score_batches}


@dataclass(frozen=True, slots=True)
class Link:
    """One link of a chain.

    Attributes:
        chain: Its chain.
        number: Its number; the first is 1.
        header: Column name -> value; has the number and the previous hash.
        parts: Rows by the name of their kind, each without surrogate ids.
        hash: The stored hash.
    """

    chain: Chain
    number: int
    header: Mapping[str, Any]
    parts: Mapping[str, Sequence[Mapping[str, Any]]]
    hash: str

    @property
    def rows(self) -> int:
        """Number of its rows."""
        return sum(len(rows) for rows in self.parts.values())

    def computed_hash(self) -> str:
        """Return the hash that header and rows give.

        Raises:
            ValueError: a figure is NaN or infinite.
        """
        return chain_hash(self.header, self.parts)


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of a chain.

    Attributes:
        number: Its number; 0 of an empty chain.
        hash: Its hash; of an empty chain 64 zeros.
    """

    number: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of both chains: with them every older row can be verified."""

    editions: Head = Head()
    score_batches: Head = Head()

    def of(self, chain: Chain) -> Head:
        """Return the head of one chain."""
        return self.editions if chain == Chain.EDITIONS else self.score_batches

    def document(self) -> dict[str, dict[str, int | str]]:
        """Return them as JSON: chain -> number and hash."""
        return {
            name: {"number": head.number, "hash": head.hash}
            for name, head in (("editions", self.editions), ("score_batches", self.score_batches))
        }


def read_heads(connection: Connection) -> Heads:
    """Return the heads of both chains."""
    return Heads(*(_read_head(connection, table) for table in (editions, score_batches)))


def read_hash(connection: Connection, chain: Chain, number: int) -> str | None:
    """Return the stored hash of a link, None if the chain has no such link."""
    table = _HEADERS[chain]
    return connection.execute(select(table.c.hash).where(table.c.number == number)).scalar_one_or_none()


def read_links(connection: Connection) -> Iterator[Link]:
    """Yield the stored links: editions, then score batches, each in the order of their numbers."""
    for header in _headers(connection, editions):
        number = header["number"]
        found = connection.execute(select(forecasts).where(forecasts.c.edition == number)).mappings()
        rows = [{name: row[name] for name in row if name != "id"} for row in found]
        served = connection.execute(select(served_forecasts).where(served_forecasts.c.edition == number)).mappings()
        yield _link(Chain.EDITIONS, header, {"forecasts": rows, "items": [dict(item) for item in served]})
    key = (forecasts.c[name] for name in SCORE_KEY)
    query = select(scores, *key).join(forecasts, forecasts.c.id == scores.c.forecast_id)
    for header in _headers(connection, score_batches):
        found = connection.execute(query.where(scores.c.batch == header["number"])).mappings()
        rows = [{name: row[name] for name in row if name not in ("id", "forecast_id")} for row in found]
        yield _link(Chain.SCORE_BATCHES, header, {"scores": rows})


def find_strays(connection: Connection) -> Iterator[str]:
    """Yield a sentence for each table with rows that belong to no link: no hash covers them."""
    for table, column, headers, chain in (
        (forecasts, forecasts.c.edition, editions, Chain.EDITIONS),
        (served_forecasts, served_forecasts.c.edition, editions, Chain.EDITIONS),
        (scores, scores.c.batch, score_batches, Chain.SCORE_BATCHES),
    ):
        query = select(func.count(), func.min(column)).select_from(table)
        count, first = connection.execute(query.where(~exists().where(headers.c.number == column))).one()
        if count:
            name = "served forecasts" if table is served_forecasts else table.name
            yield f"{count} {name} belong to no {chain.value}: the first names {chain.value} {first}, which is missing"


def _read_head(connection: Connection, table: Table) -> Head:
    query = select(table.c.number, table.c.hash).order_by(table.c.number.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return Head() if row is None else Head(row.number, row.hash)


def _headers(connection: Connection, table: Table) -> Iterator[RowMapping]:
    after: int | None = None
    while True:
        query = select(table).order_by(table.c.number).limit(_AT_ONCE)
        page = connection.execute(query if after is None else query.where(table.c.number > after)).mappings().all()
        if not page:
            return
        yield from page
        after = page[-1]["number"]


def _link(chain: Chain, row: RowMapping, parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> Link:
    header = {name: row[name] for name in row if name not in _NOT_HASHED}
    return Link(chain, row["number"], header, parts, row["hash"])
