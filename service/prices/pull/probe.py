"""The canary: a symbol known to be there, asked when the vendor says that another one is not.

"No such symbol" and "no bars" are also what a blocked address is told. Such an answer is believed only when an
answer with bars came after it in the same pull.
"""

import itertools
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from service.errors import SourceError
from service.market.instruments import list_instruments
from service.prices.sources.base import PriceSource

DEFAULT = "SPY"
"""Asked last, and where no symbol has bars yet: the largest fund of New York."""

MOST = 3
"""Known symbols tried before the vendor is held to be out of reach: one of them may be gone itself."""

_WINDOW = timedelta(days=14)
"""How far back a canary is asked for: longer than any exchange is closed."""


def pick_probes(connection: Connection) -> tuple[str, ...]:
    """Up to three symbols in good state with bars, reference series first; then SPY."""
    known = [one for one in list_instruments(connection, pulled=True) if one.state == "ok" and one.last_session]
    chosen = [one.symbol for one in sorted(known, key=lambda one: not one.reference)[:MOST]]
    return tuple(dict.fromkeys([*chosen, DEFAULT]))


class Probe:
    """What one pull knows of the vendor's being well; safe among threads.

    Args:
        source: Whom to ask.
        names: Canaries, in the order they are asked.
        at: Aware UTC market time of the pull.
    """

    def __init__(self, source: PriceSource, names: Sequence[str], at: datetime) -> None:
        self._source, self._names, self._at = source, tuple(names), at
        self._tickets = itertools.count(1)
        self._well, self._ill = 0, 0
        self._lock = threading.Lock()

    def begin(self) -> int:
        """Ticket of a request that is about to be made; later requests have higher ones."""
        return next(self._tickets)

    def answered(self, ticket: int) -> None:
        """Note that a request came back with bars."""
        with self._lock:
            self._well = max(self._well, ticket)

    def reachable_since(self, ticket: int) -> bool:
        """Whether a request made after another came back with bars; asks the canaries where nobody knows yet."""
        with self._lock:
            if self._well > ticket:
                return True
            if self._ill > ticket:
                return False
            asked = self.begin()
            if any(self._asks(name) for name in self._names):
                self._well = asked
                return True
            self._ill = asked
            return False

    def _asks(self, name: str) -> bool:
        try:
            return len(self._source.fetch(name, (self._at - _WINDOW).date(), self._at).bars) > 0
        except SourceError:
            return False
