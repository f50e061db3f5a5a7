"""The probe: a symbol known to exist, fetched when the vendor reports that another one does not.

A blocked address also gets "no such symbol" and "no bars". Such an answer is accepted only if an answer with bars
follows it in the same pull.
"""

import itertools
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from service.errors import SourceError
from service.market.instruments import list_instruments
from service.prices.sources.base import PriceSource
from service.vocabulary import SymbolState

DEFAULT = "SPY"
"""The last probe, and the only one while no symbol has bars: the largest fund of New York."""

MOST = 3
"""Known symbols tried before the vendor counts as unreachable: one of them may be gone."""

_WINDOW = timedelta(days=14)
"""How far back a probe is fetched: longer than any exchange is closed."""


def pick_probes(connection: Connection) -> tuple[str, ...]:
    """Return up to three symbols in good state with bars, reference series first; then SPY."""
    known = [
        one for one in list_instruments(connection, pulled=True) if one.state == SymbolState.OK and one.last_session
    ]
    chosen = [one.symbol for one in sorted(known, key=lambda one: not one.reference)[:MOST]]
    return tuple(dict.fromkeys([*chosen, DEFAULT]))


class Probe:
    """Whether the vendor is reachable, as one pull knows it; thread-safe.

    Args:
        source: Price source.
        names: Probe symbols, in the order of their fetches.
        at: Aware UTC market time of the pull.
    """

    def __init__(self, source: PriceSource, names: Sequence[str], at: datetime) -> None:
        self._source, self._names, self._at = source, tuple(names), at
        self._tickets = itertools.count(1)
        self._reachable, self._unreachable = 0, 0
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Return the ticket of a request that is about to be made; later requests have higher ones."""
        return next(self._tickets)

    def answered(self, ticket: int) -> None:
        """Record that a request returned bars."""
        with self._lock:
            self._reachable = max(self._reachable, ticket)

    def reachable_since(self, ticket: int) -> bool:
        """Return whether a request after the ticket returned bars; fetches the probes if that is not known yet."""
        with self._lock:
            if self._reachable > ticket:
                return True
            if self._unreachable > ticket:
                return False
            ticket = self.begin()
            if any(self._answers(name) for name in self._names):
                self._reachable = ticket
                return True
            self._unreachable = ticket
            return False

    def _answers(self, name: str) -> bool:
        try:
            return len(self._source.fetch(name, (self._at - _WINDOW).date(), self._at).bars) > 0
        except SourceError:
            return False
