"""Who could be forecast at an as_of: what is stored of each symbol, and what was published already."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, and_, func, select

from service.db.tables import bars, editions, forecasts, instruments
from service.forecasts.publication import BACKFILL


@dataclass(frozen=True, slots=True)
class Candidate:
    """An active symbol of a calendar at an as_of.

    Attributes:
        symbol: Yahoo-style name.
        group: Its training group.
        state: State of the instrument.
        state_reason: Why, in one sentence; None where there is nothing to say.
        basis: Basis of its stored prices.
        close: as_of's stored close; None where there is no bar.
        revision: Newest published revision of its forecast; 0 = none.
        published_close: The last close that the newest on-time revision was made with; None where none was.
    """

    symbol: str
    group: str
    state: str
    state_reason: str | None
    basis: int
    close: float | None
    revision: int
    published_close: float | None

    def blame(self, sentence: str) -> str:
        """A sentence on this symbol, with what is known to be wrong with it."""
        return sentence if self.state_reason is None else f"{sentence}; {self.state_reason}"

    @property
    def is_published(self) -> bool:
        """Whether its newest on-time forecast was made from the bar as it stands (or no bar stands)."""
        return self.published_close is not None and self.close in (None, self.published_close)


def read_candidates(connection: Connection, calendar: str, as_of: date) -> tuple[Candidate, ...]:
    """The active symbols of a calendar, sorted; symbols unknown to the source are left out."""
    # Of each symbol alone, two seeks in an index: a grouping would read all forecasts there are.
    mine = and_(forecasts.c.symbol == instruments.c.symbol, forecasts.c.as_of == as_of)
    newest = select(func.max(forecasts.c.revision)).where(mine).correlate(instruments).scalar_subquery()
    on_time = (
        select(forecasts.c.last_close)
        .join(editions, editions.c.number == forecasts.c.edition)
        .where(mine, editions.c.mode != BACKFILL)
        .order_by(forecasts.c.revision.desc())
        .limit(1)
        .correlate(instruments)
        .scalar_subquery()
    )
    query = (
        select(
            instruments.c.symbol,
            instruments.c.group,
            instruments.c.state,
            instruments.c.state_reason,
            instruments.c.basis,
            bars.c.close,
            func.coalesce(newest, 0),
            on_time,
        )
        .outerjoin(bars, and_(bars.c.symbol == instruments.c.symbol, bars.c.session == as_of))
        .where(instruments.c.calendar == calendar, instruments.c.active, instruments.c.state != "unknown")
        .order_by(instruments.c.symbol)
    )
    return tuple(Candidate(*row) for row in connection.execute(query))
