"""Who makes a request."""

from dataclasses import dataclass

from service.vocabulary import Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request, and what is permitted.

    Attributes:
        name: Name of the key, `anonymous` without one; the actor in the audit.
        key_id: The key; None without one.
        scopes: What is permitted.
    """

    name: str
    key_id: int | None
    scopes: frozenset[Scope]


ANONYMOUS = Principal("anonymous", None, frozenset({Scope.READ}))
"""A client without a key, where reads are open."""
