"""Completes the OpenAPI document: the scope of each route, and where no key is needed."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from service.api.access.require import Require
from service.vocabulary import Scope

SCOPE_FIELD = "x-required-scope"
"""Field of an operation: the scope that its key needs. OpenAPI knows scopes of OAuth alone."""

WITHOUT_KEY = frozenset({("/v1/session", "get"), ("/v1/session", "post")})
"""Path and method of what works without a key, although it accepts one."""


def declare_access(document: dict[str, Any], routers: Iterable[APIRouter], *, has_open_reads: bool) -> None:
    """Add to each operation its scope, and that no key is needed if so.

    Args:
        document: The OpenAPI document; changed in place.
        routers: Those whose reads require `read`, and those with rules of their own.
        has_open_reads: Whether reads need no key.
    """
    for route in (route for router in routers for route in router.routes):
        if not isinstance(route, APIRoute):
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path][method.lower()]
            if "security" not in operation:
                continue
            scope = required_scope(route, method)
            if scope is not None:
                operation[SCOPE_FIELD] = scope.value
                operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
            is_open = has_open_reads and method == "GET" and scope is Scope.READ
            if (is_open or (route.path, method.lower()) in WITHOUT_KEY) and {} not in operation["security"]:
                operation["security"].append({})


def required_scope(route: APIRoute, method: str) -> Scope | None:
    """Return the scope that a route requires, the rarest if there are several; None without one."""
    calls = [dependant.call for dependant in _all(route.dependant)]
    found = {call.scope for call in calls if isinstance(call, Require)}
    if method == "GET" and (route.path, "get") not in WITHOUT_KEY:
        found.add(Scope.READ)
    return max(found, key=list(Scope).index, default=None)


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for inner in dependant.dependencies:
        yield from _all(inner)
