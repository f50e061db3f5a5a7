"""Finds the principal of a token; answers are kept for half a second."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from anyio import to_thread

from service.access.keys import ApiKey, find_key
from service.api.access.principal import Principal
from service.api.common.dependencies import Reader

KEPT_SECONDS = 0.5
"""How long a found key is used without a look at the database: a revoked one is refused within a second."""

KEPT_KEYS = 1000
"""Most keys that are kept; unknown tokens are not kept."""


class Authenticator:
    """Finds keys in the database.

    Args:
        reader: Opens the database.
        clock: Seconds that never go back.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float] = monotonic) -> None:
        self._reader, self._clock = reader, clock
        self._kept: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()

    async def find(self, token: str) -> Principal | None:
        """Return the principal of a token; None for an unknown, revoked or expired one."""
        kept = self._kept.get(token)
        if kept is None or self._clock() - kept[0] >= KEPT_SECONDS:
            key = await to_thread.run_sync(self._read, token)
            if key is None:
                self._kept.pop(token, None)
                return None
            kept = (self._clock(), key)
            self._kept[token] = kept
            self._kept.move_to_end(token)
            while len(self._kept) > KEPT_KEYS:
                self._kept.popitem(last=False)
        key = kept[1]
        return Principal(key.name, key.id, key.scopes)

    def _read(self, token: str) -> ApiKey | None:
        with self._reader.database.reading() as connection:
            key = find_key(connection, token)
            now = self._reader.machine.now(connection)
        return key if key is not None and key.is_valid(now) else None
