"""Reads the symbols that may be forecast at an as_of.

Each has its stored bar and its newest published forecast.
"""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, and_, func, select

from service.db.tables import bars, editions, forecasts, instruments
from service.vocabulary import Mode, SymbolState


@dataclass(frozen=True, slots=True)
class Candidate:
    """An active symbol of a calendar at an as_of.

    Attributes:
        symbol: Yahoo-style name.
        group: Its training group.
        state: State of the instrument.
        state_reason: One sentence, or None.
        basis: Basis of its stored prices.
        close: as_of's stored close; None without a bar.
        revision: Newest published revision of its forecast; 0 = none.
        published_close: Last close used by the newest on-time revision; None without one.
    """

    symbol: str
    group: str
    state: str
    state_reason: str | None
    basis: int
    close: float | None
    revision: int
    published_close: float | None

    def describe(self, sentence: str) -> str:
        """Return a sentence about this symbol with the reason of its state, if any."""
        return sentence if self.state_reason is None else f"{sentence}; {self.state_reason}"

    @property
    def is_published(self) -> bool:
        """Whether its newest on-time forecast used the stored bar (or there is no bar)."""
        return self.published_close is not None and self.close in (None, self.published_close)


def read_candidates(connection: Connection, calendar: str, as_of: date) -> tuple[Candidate, ...]:
    """Return the active symbols of a calendar, sorted.

    Symbols that the source does not know are left out.
    """
    # Two index seeks per symbol: a grouping would read all forecasts.
    own_forecasts = and_(forecasts.c.symbol == instruments.c.symbol, forecasts.c.as_of == as_of)
    newest = select(func.max(forecasts.c.revision)).where(own_forecasts)
    newest_revision = newest.correlate(instruments).scalar_subquery()
    on_time_close = (
        select(forecasts.c.last_close)
        .join(editions, editions.c.number == forecasts.c.edition)
        .where(own_forecasts, editions.c.mode != Mode.BACKFILL)
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
            func.coalesce(newest_revision, 0),
            on_time_close,
        )
        .outerjoin(bars, and_(bars.c.symbol == instruments.c.symbol, bars.c.session == as_of))
        .where(instruments.c.calendar == calendar, instruments.c.active, instruments.c.state != SymbolState.UNKNOWN)
        .order_by(instruments.c.symbol)
    )
    return tuple(Candidate(*row) for row in connection.execute(query))
