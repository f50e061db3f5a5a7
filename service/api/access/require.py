"""The scope that a route requires.

Reads get `READ` from the application; a route that writes has a parameter of type `RunAccess` or `AdminAccess`.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from service.api.access.authenticate import Authenticator
from service.api.access.cookies import PLAIN_NAME, read_cookie
from service.api.access.own_page import SAFE_METHODS, require_own_page
from service.api.access.principal import ANONYMOUS, Credential, CredentialKind, Principal
from service.api.common.errors import NotAuthenticated, NotPermitted
from service.vocabulary import Scope

KEY_SCHEME, COOKIE_SCHEME = "key", "page_session"
"""Names of the security schemes in the OpenAPI document."""

_BEARER = HTTPBearer(
    auto_error=False, scheme_name=KEY_SCHEME, description="a key of `tplus keys create`; reads may be open without one"
)
_COOKIE = APIKeyCookie(
    name=PLAIN_NAME,
    auto_error=False,
    scheme_name=COOKIE_SCHEME,
    description="the cookie of `POST /v1/session`; over https its name begins with `__Host-` or `__Secure-`; "
    "writes by it need a matching `Origin`",
)

KeyCredentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


async def find_authenticator(request: Request) -> Authenticator:
    """Return the authenticator of the application."""
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator


AuthenticatorDependency = Annotated[Authenticator, Depends(find_authenticator)]


async def find_principal(
    request: Request,
    authenticator: AuthenticatorDependency,
    credentials: KeyCredentials,
    _cookie: Annotated[str | None, Security(_COOKIE)],
) -> Principal | None:
    """Return who makes the request; None without a key, and without a valid page session.

    Raises:
        NotAuthenticated: there is a key, and it is not valid.
        NotPermitted: the page of another site writes by the cookie.
    """
    if "authorization" in request.headers:
        if credentials is None:
            raise NotAuthenticated("the Authorization header is not `Bearer KEY`; see docs/api.md")
        found = await authenticator.find(Credential(CredentialKind.KEY, credentials.credentials))
        if found is None:
            raise NotAuthenticated("the key is unknown, revoked or expired; `tplus keys create NAME` makes a new one")
        request.state.principal = found  # the access log names the key
        return found
    token = read_cookie(request)
    if token is None:
        return None
    if request.method not in SAFE_METHODS:
        require_own_page(request)
    found = await authenticator.find(Credential(CredentialKind.PAGE_SESSION, token))
    request.state.principal = found
    return found


FoundPrincipal = Annotated[Principal | None, Depends(find_principal)]


class Require:
    """A dependency that returns the principal of a request if a scope is permitted.

    Attributes:
        scope: The scope.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request, principal: FoundPrincipal) -> Principal:
        """Return the principal.

        Raises:
            NotAuthenticated: a key is required and there is none.
            NotPermitted: the key lacks the scope.
        """
        if principal is None and request.app.state.open_reads:
            principal = ANONYMOUS
        if principal is None or (principal is ANONYMOUS and self.scope not in principal.scopes):
            raise NotAuthenticated(
                f"this needs a key with scope {self.scope}; "
                f"`tplus keys create NAME --scopes {self.scope}` makes one, send it as `Authorization: Bearer KEY`"
            )
        if self.scope not in principal.scopes:
            raise NotPermitted(
                f"the key {principal.name} lacks the scope {self.scope}; use a key that has it, see `tplus keys list`"
            )
        return principal


async def require_key(principal: FoundPrincipal) -> Principal:
    """Return the principal of a request that writes; its route requires the scope.

    Raises:
        NotAuthenticated: there is no key.
    """
    if principal is None:
        raise NotAuthenticated("a write needs a key; send it as `Authorization: Bearer KEY`, see docs/api.md")
    return principal


_require_read = Require(Scope.READ)


async def require_read_or_key(request: Request, principal: FoundPrincipal) -> Principal:
    """Return the principal: reads require the scope `read`, writes any key, and their route a scope.

    Raises:
        NotAuthenticated: a key is required and there is none.
        NotPermitted: the key lacks the scope.
    """
    if request.method in SAFE_METHODS:
        return await _require_read(request, principal)
    return await require_key(principal)


ReadAccess = Annotated[Principal, Depends(_require_read)]
RunAccess = Annotated[Principal, Depends(Require(Scope.RUN))]
AdminAccess = Annotated[Principal, Depends(Require(Scope.ADMIN))]
