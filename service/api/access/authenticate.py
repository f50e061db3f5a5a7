"""Finds the principal of a token; answers are kept for half a second."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from anyio import CapacityLimiter, to_thread

from service.access.keys import find_key, is_token, token_hash
from service.access.last_used import LastUsed
from service.access.page_sessions import RENEWED_AFTER, find_session, is_session_token
from service.api.access.principal import Credential, CredentialKind, Principal
from service.api.common.dependencies import Reader
from service.errors import NotYet

KEPT_SECONDS = 0.5
"""How long an answer is used without a look at the database: a revoked key is refused within a second."""

RENEWED_SECONDS = 0.3
"""Age at which a valid answer is read again, while requests still use this one: none has to wait."""

KEPT_TOKENS = 1000
"""Most tokens that are kept, of those found and of those not found each."""

LOOKUPS, UNKNOWN_LOOKUPS = 4, 2
"""Most looks at the database at a time: for tokens found before, and for all others."""

MOST_WAITING = 256
"""Most tokens not found before that wait for a look; further ones are refused with 503."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An answer of the database.

    Attributes:
        at: When it was read.
        principal: Whose token it is; None if it is not valid.
    """

    at: float
    principal: Principal | None


class Authenticator:
    """Finds keys and page sessions in the database; used in the event loop only.

    Tokens that are not known have few threads of their own: many of them delay neither known clients nor reads.

    Args:
        reader: Opens the database.
        clock: Seconds that never go back.
    """

    def __init__(self, reader: Reader, clock: Callable[[], float] = monotonic) -> None:
        self._reader, self._clock = reader, clock
        self._found: OrderedDict[tuple[CredentialKind, str], _Kept] = OrderedDict()
        self._not_found: OrderedDict[tuple[CredentialKind, str], _Kept] = OrderedDict()
        self._reading: dict[tuple[CredentialKind, str], asyncio.Task[Principal | None]] = {}
        self._waiting = 0
        self._lookups, self._unknown_lookups = CapacityLimiter(LOOKUPS), CapacityLimiter(UNKNOWN_LOOKUPS)
        self.last_used = LastUsed(reader.database)

    async def find(self, credential: Credential) -> Principal | None:
        """Return the principal of a token; None for an unknown, revoked or expired one.

        Raises:
            NotYet: too many unknown tokens wait for the database.
        """
        is_formed = is_token if credential.kind is CredentialKind.KEY else is_session_token
        if not is_formed(credential.token):
            return None
        key = (credential.kind, token_hash(credential.token))
        kept = self._found.get(key) or self._not_found.get(key)
        age = float("inf") if kept is None else self._clock() - kept.at
        if kept is not None and age < KEPT_SECONDS:
            if kept.principal is not None and age > RENEWED_SECONDS:
                self._start_reading(key, credential)
            return kept.principal
        reading = self._start_reading(key, credential)
        # Requests with the same token share one look; a client that leaves must not end it for the others.
        return await asyncio.shield(reading)

    def kept_principal(self, token: str, hashed: str) -> Principal | None:
        """Return the principal of a key as it is kept, without waiting; None if it is to be read first.

        Args:
            token: The key.
            hashed: Its hash.
        """
        key = (CredentialKind.KEY, hashed)
        kept = self._found.get(key)
        if kept is None:
            return None
        age = self._clock() - kept.at
        if age > RENEWED_SECONDS:
            self._start_reading(key, Credential(CredentialKind.KEY, token))
        return kept.principal if age < KEPT_SECONDS else None

    def is_known(self, hashed: str) -> bool:
        """Return whether a key was valid when it was last read."""
        return (CredentialKind.KEY, hashed) in self._found

    def forget(self, credential: Credential) -> None:
        """Read a token again at its next use: its page session was signed out."""
        self._found.pop((credential.kind, token_hash(credential.token)), None)

    def close(self) -> None:
        """Write what is left to write."""
        self.last_used.close()

    def _start_reading(
        self, key: tuple[CredentialKind, str], credential: Credential
    ) -> "asyncio.Task[Principal | None]":
        """Return the task that reads a token: the one under way, else a new one."""
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read_and_keep(key, credential))
            reading.add_done_callback(lambda done: self._forget_reading(key, done))
        return reading

    async def _read_and_keep(self, key: tuple[CredentialKind, str], credential: Credential) -> Principal | None:
        started = self._clock()
        if key in self._found:
            principal = await to_thread.run_sync(self._read, credential, limiter=self._lookups)
        else:
            principal = await self._read_unknown(credential)
        self._found.pop(key, None)
        self._not_found.pop(key, None)
        kept = self._not_found if principal is None else self._found
        kept[key] = _Kept(started, principal)
        while len(kept) > KEPT_TOKENS:
            kept.popitem(last=False)
        return principal

    async def _read_unknown(self, credential: Credential) -> Principal | None:
        if self._waiting >= MOST_WAITING:
            raise NotYet("too many unknown keys are being looked up; try again in a moment")
        self._waiting += 1
        try:
            return await to_thread.run_sync(self._read, credential, limiter=self._unknown_lookups)
        finally:
            self._waiting -= 1

    def _forget_reading(self, key: tuple[CredentialKind, str], done: "asyncio.Task[Principal | None]") -> None:
        self._reading.pop(key, None)
        if not done.cancelled():
            done.exception()  # every client may have left before it was raised

    def _read(self, credential: Credential) -> Principal | None:
        with self._reader.database.reading() as connection:
            now = self._reader.machine.now(connection)
            if credential.kind is CredentialKind.PAGE_SESSION:
                session = find_session(connection, credential.token)
                if session is None or not session.is_valid(now):
                    return None
                key, expires_at = session.key, session.expires_at
                is_renewable, renew_at = session.is_renewable(now), session.created_at + RENEWED_AFTER
                principal = Principal(
                    key.name, key.id, key.scopes, expires_at, session.id, is_renewable, renew_at, credential
                )
            else:
                found = find_key(connection, credential.token)
                if found is None or not found.is_valid(now):
                    return None
                key = found
                principal = Principal(key.name, key.id, key.scopes, key.expires_at, credential=credential)
        self.last_used.note(key.id, now)
        return principal
