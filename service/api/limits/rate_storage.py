"""Where the `limits` library counts: memory shared by the workers, or Redis."""

import logging
import time
from collections.abc import Callable
from typing import Any

from limits import RateLimitItem
from limits.aio.storage import MovingWindowSupport, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from service.api.limits.shared_windows import SharedWindows
from service.api_settings import MEMORY
from service.clock import process_now
from service.errors import SettingsError
from service.settings import Settings

_REDIS_SECONDS = 0.5
"""Time limit of a question to Redis."""

_RETRY_SECONDS = 5.0
"""How long requests are counted here before Redis is tried again."""

_MOST_KEYS = 4096
"""Keys of the storage that are remembered, instead of composed for each request."""

_log = logging.getLogger(__name__)


class SharedMemoryStorage(Storage, MovingWindowSupport):
    """A storage of `limits` in memory that the workers share.

    Args:
        windows: The memory.
    """

    STORAGE_SCHEME = ("async+tplus-shared",)  # type: ignore[assignment]

    def __init__(self, windows: SharedWindows) -> None:
        super().__init__()
        self._windows = windows

    @property
    def base_exceptions(self) -> type[Exception]:
        """Errors of the storage."""
        return OSError

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count requests if they fit into the window; see `limits`."""
        return self._windows.acquire(key, limit, expiry, amount)

    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the window's oldest request was, by the monotonic clock, and their number."""
        window = self._windows.window(key, expiry)
        return time.monotonic() + window.free_in - (expiry if window.number else 0), min(window.number, limit)

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Not supported: other strategies are not used."""
        raise NotImplementedError("this storage counts moving windows only")

    async def get(self, key: str) -> int:
        """Not supported: other strategies are not used."""
        raise NotImplementedError("this storage counts moving windows only")

    async def get_expiry(self, key: str) -> float:
        """Not supported: other strategies are not used."""
        raise NotImplementedError("this storage counts moving windows only")

    async def check(self) -> bool:
        """Return that memory is there."""
        return True

    async def reset(self) -> int | None:
        """Forget every request."""
        self._windows.clear()
        return None

    async def clear(self, key: str) -> None:
        """Not supported: a key's requests leave the window by themselves."""
        raise NotImplementedError("a key's requests leave the window by themselves")


class Hit:
    """Result of one counted request.

    Attributes:
        is_allowed: Whether it is within the limit.
        remaining: Requests left in the window.
        free_in: Seconds until the oldest request leaves the window.
    """

    __slots__ = ("free_in", "is_allowed", "remaining")

    def __init__(self, is_allowed: bool, remaining: int, free_in: float) -> None:
        self.is_allowed, self.remaining, self.free_in = is_allowed, remaining, free_in


class RateCounter:
    """Counts requests in the storage of the settings; in shared memory while Redis does not answer.

    Args:
        settings: The storage.
        windows: The shared memory.

    Raises:
        SettingsError: Redis is set, and its library is not installed.
    """

    def __init__(self, settings: Settings, windows: SharedWindows) -> None:
        self._windows = windows
        self._keys: dict[tuple[str, ...], str] = {}
        self._shared = MovingWindowRateLimiter(SharedMemoryStorage(windows))
        address = settings.rate_limit_storage.get_secret_value()
        self._redis_storage = None if address == MEMORY else _redis_storage(address)
        self._redis = None if self._redis_storage is None else MovingWindowRateLimiter(self._redis_storage)
        self._next_try = 0.0

    async def hit(self, item: RateLimitItem, *identifiers: str) -> Hit:
        """Count one request.

        Args:
            item: The limit.
            identifiers: Whose request.
        """
        if self._redis is not None and time.monotonic() >= self._next_try:
            try:
                return await _hit(self._redis, lambda: process_now().timestamp(), item, identifiers)
            except StorageError as error:
                self._next_try = time.monotonic() + _RETRY_SECONDS
                _log.warning(
                    "TPLUS_RATE_LIMIT_STORAGE does not answer (%s); requests are counted on this machine alone",
                    type(error.storage_error).__name__,
                )
        return await _hit(self._shared, time.monotonic, item, identifiers)

    @property
    def is_shared_memory(self) -> bool:
        """Whether requests are counted in memory, where `hit_here` need not wait."""
        return self._redis is None

    def hit_here(self, item: RateLimitItem, *identifiers: str) -> Hit:
        """Count one request in the shared memory at once; the same as `hit` without Redis.

        Args:
            item: The limit; that of a name is always the same.
            identifiers: Name of the limit, and whose request.
        """
        seconds = item.get_expiry()
        key = self._keys.get(identifiers)
        if key is None:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            key = self._keys[identifiers] = item.key_for(*identifiers)
        is_allowed, window = self._windows.hit(key, item.amount, seconds)
        free_in = window.free_in if window.number else float(seconds)
        return Hit(is_allowed, max(0, item.amount - window.number), free_in)

    async def close(self) -> None:
        """Close the connections to Redis."""
        if self._redis_storage is not None:
            await self._redis_storage.bridge.storage.aclose()


async def _hit(
    limiter: MovingWindowRateLimiter, clock: Callable[[], float], item: RateLimitItem, identifiers: tuple[str, ...]
) -> Hit:
    is_allowed = await limiter.hit(item, *identifiers)
    stats = await limiter.get_window_stats(item, *identifiers)
    return Hit(is_allowed, max(0, int(stats.remaining)), max(0.0, stats.reset_time - clock()))


def _redis_storage(address: str) -> Any:
    try:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise SettingsError(
            "TPLUS_RATE_LIMIT_STORAGE names a Redis server, and its library is not installed; "
            "install tplus[redis], or set it to memory"
        ) from error
    options: dict[str, Any] = {
        "implementation": "redispy",
        "wrap_exceptions": True,
        "key_prefix": "tplus-limits",
        "socket_timeout": _REDIS_SECONDS,
        "socket_connect_timeout": _REDIS_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    try:
        return storage_from_string(f"async+{address}", **options)
    except (ConfigurationError, ValueError) as error:
        raise SettingsError(
            "TPLUS_RATE_LIMIT_STORAGE is not the address of a Redis server; write redis://host:6379/0"
        ) from error
