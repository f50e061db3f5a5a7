"""The two ways to touch the database: read without leaving a trace, or write in one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from service.db.engine import WRITE_OPTION, make_engine


class Database:
    """An engine with its transactions.

    `transaction()` holds the only commit in the source; whatever is raised inside it undoes everything.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = make_engine(url)
        self._writer = self.engine.execution_options(**{WRITE_OPTION: True})

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded default: one active scheduler, the others stand by."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A write transaction: committed when the block ends, rolled back when it raises."""
        with self._writer.connect() as connection:
            with connection.begin() as held:
                yield connection
                held.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent snapshot to read from; rolled back at the end."""
        with self.engine.connect() as connection:
            yield connection
            connection.rollback()

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
