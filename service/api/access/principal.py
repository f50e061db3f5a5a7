"""Who makes a request."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from service.vocabulary import Scope


class CredentialKind(StrEnum):
    """What a client shows: a key, or the cookie of a page session."""

    KEY = "key"
    PAGE_SESSION = "page session"


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that a client shows; its text is in no message and no log.

    Attributes:
        kind: What it is.
        token: The token.
    """

    kind: CredentialKind
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request, and what is permitted.

    Attributes:
        name: Name of the key, `anonymous` without one; the actor in the audit.
        key_id: The key; None without one.
        scopes: What is permitted.
        expires_at: Machine time from which the key or the page session is refused; None = never.
        session_id: The page session; None for a key.
        is_renewable: Whether the page session is old enough for a renewal.
        renew_at: Machine time from which it is; None for a key.
        credential: What the client showed; None without one.
    """

    name: str
    key_id: int | None
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    session_id: int | None = None
    is_renewable: bool = False
    renew_at: datetime | None = None
    credential: Credential | None = field(default=None, repr=False, compare=False)


ANONYMOUS = Principal("anonymous", None, frozenset({Scope.READ}))
"""A client without a key, where reads are open."""
