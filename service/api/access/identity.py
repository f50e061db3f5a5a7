"""The identity that rate limits count for."""

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import Request

from service.api.access.authenticate import Authenticator
from service.api.access.cookies import read_cookie
from service.api.access.principal import Credential, CredentialKind


async def key_identity(request: Request) -> str | None:
    """Return the id of the valid key of a request, of its header or of its page session; None without one.

    Raises:
        NotYet: too many unknown tokens wait for the database.
    """
    credential = _credential(request)
    if credential is None:
        return None
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.find(credential)
    return None if principal is None else str(principal.key_id)


def _credential(request: Request) -> Credential | None:
    if "authorization" in request.headers:
        scheme, token = get_authorization_scheme_param(request.headers["authorization"])
        return Credential(CredentialKind.KEY, token) if scheme.lower() == "bearer" else None
    token = read_cookie(request) or ""
    return Credential(CredentialKind.PAGE_SESSION, token) if token else None
