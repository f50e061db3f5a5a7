"""The scope that a route requires.

Reads get `READ` from the application; a route that writes has a parameter of type `RunAccess` or `AdminAccess`.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from service.api.access.authenticate import Authenticator
from service.api.access.principal import ANONYMOUS, Principal
from service.api.common.errors import NotAuthenticated, NotPermitted
from service.vocabulary import Scope

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="key", description="a key of `tplus keys create`; reads may be open without one"
)
_MAX_TOKEN = 200

Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


async def _principal(request: Request, credentials: Credentials) -> Principal | None:
    """Return who makes the request; None without a key.

    Raises:
        NotAuthenticated: there is a key, and it is not valid.
    """
    if credentials is None:
        if "authorization" in request.headers:
            raise NotAuthenticated("the Authorization header is not `Bearer KEY`; see docs/api.md")
        return None
    authenticator: Authenticator = request.app.state.authenticator
    token = credentials.credentials
    found = await authenticator.find(token) if len(token) <= _MAX_TOKEN else None
    if found is None:
        raise NotAuthenticated("the key is unknown, revoked or expired; `tplus keys create NAME` makes a new one")
    request.state.principal = found  # the access log names the key
    return found


class Require:
    """A dependency that returns the principal of a request if a scope is permitted.

    Args:
        scope: The scope.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(
        self, request: Request, principal: Annotated[Principal | None, Depends(_principal)]
    ) -> Principal:
        """Return the principal.

        Raises:
            NotAuthenticated: a key is required and there is none.
            NotPermitted: the key lacks the scope.
        """
        if principal is None and request.app.state.open_reads:
            principal = ANONYMOUS
        if principal is None or (principal is ANONYMOUS and self._scope not in principal.scopes):
            raise NotAuthenticated(
                f"this needs a key with scope {self._scope}; "
                f"`tplus keys create NAME --scopes {self._scope}` makes one, send it as `Authorization: Bearer KEY`"
            )
        if self._scope not in principal.scopes:
            raise NotPermitted(
                f"the key {principal.name} lacks the scope {self._scope}; use a key that has it, see `tplus keys list`"
            )
        return principal


ReadAccess = Annotated[Principal, Depends(Require(Scope.READ))]
RunAccess = Annotated[Principal, Depends(Require(Scope.RUN))]
AdminAccess = Annotated[Principal, Depends(Require(Scope.ADMIN))]
