"""The identity that rate limits count for."""

from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import Request

from service.api.access.authenticate import Authenticator
from service.api.access.require import MAX_TOKEN


async def key_identity(request: Request) -> str | None:
    """Return the id of the valid key in a request's Authorization header, None without one."""
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN:
        return None
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.find(token)
    return None if principal is None else str(principal.key_id)
