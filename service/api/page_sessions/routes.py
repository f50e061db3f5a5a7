"""POST, GET and DELETE /v1/session: the page swaps a key for a cookie."""

import logging
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Body, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from service.access.page_sessions import RENEWED_AFTER
from service.api.access.cookies import delete_cookie, read_cookie, set_cookie
from service.api.access.own_page import require_own_page
from service.api.access.principal import Credential, CredentialKind, Principal
from service.api.access.require import AuthenticatorDependency, FoundPrincipal, KeyCredentials
from service.api.common.dependencies import ReaderDependency
from service.api.common.errors import NotAuthenticated, request_id
from service.api.common.schemas import problems
from service.api.page_sessions import store
from service.api.page_sessions.schemas import SessionAnswer, SignIn
from service.api.page_sessions.store import Opened
from service.vocabulary import Scope

router = APIRouter(prefix="/v1/session", tags=["session"])

_log = logging.getLogger(__name__)


@router.post("", summary="Sign in: swap a key for a cookie", responses=problems(400))
async def create_session(
    request: Request,
    response: Response,
    reader: ReaderDependency,
    authenticator: AuthenticatorDependency,
    credentials: KeyCredentials,
    body: Annotated[SignIn | None, Body(description="the key, unless it is in the header Authorization")] = None,
) -> SessionAnswer:
    """Check a key, in the body or in `Authorization`, and set the cookie of a page session for 12 hours.

    The cookie is `HttpOnly`, so scripts cannot read it, and `SameSite=Strict`, so other sites cannot use it.
    """
    if "origin" in request.headers:  # another site must not sign a browser in with a key of its choice
        require_own_page(request)
    token = body.key if body is not None else None if credentials is None else credentials.credentials
    if token is None:
        raise NotAuthenticated('there is no key; send {"key": "tplus_..."} as JSON, or `Authorization: Bearer KEY`')
    principal = await authenticator.find(Credential(CredentialKind.KEY, token))
    if principal is None:
        raise NotAuthenticated("the key is unknown, revoked or expired; `tplus keys create NAME` makes a new one")
    former = await _former(request, authenticator)
    opened = await to_thread.run_sync(
        store.open_for_key, reader, principal, None if former is None else former.session_id, request_id(request)
    )
    if former is not None and former.credential is not None:
        authenticator.forget(former.credential)
    return _signed_in(request, response, opened)


@router.get("", summary="Who is signed in", responses=problems())
async def get_session(
    request: Request, response: Response, reader: ReaderDependency, principal: FoundPrincipal
) -> SessionAnswer:
    """Name, scopes and end of the key or page session; without one, what is permitted without.

    A page session that is half-way through is renewed: the answer sets a new cookie, the old one is accepted for
    another minute.
    """
    response.headers["Cache-Control"] = "no-store"
    open_reads: bool = request.app.state.open_reads
    if principal is None:
        scopes = [Scope.READ] if open_reads else []
        return SessionAnswer(
            signed_in=False, name=None, scopes=scopes, expires_at=None, renew_at=None, open_reads=open_reads
        )
    if principal.session_id is not None and principal.is_renewable:
        renewed = await _renew(reader, principal.session_id)
        if renewed is not None:
            return _signed_in(request, response, renewed)
    return SessionAnswer(
        signed_in=True,
        name=principal.name,
        scopes=_in_order(principal),
        expires_at=principal.expires_at,
        renew_at=principal.renew_at,
        open_reads=open_reads,
    )


@router.delete("", status_code=204, summary="Sign out", responses=problems())
async def delete_session(
    request: Request,
    response: Response,
    reader: ReaderDependency,
    authenticator: AuthenticatorDependency,
    principal: FoundPrincipal,
) -> None:
    """End the page session of the cookie, and remove the cookie."""
    if principal is None or principal.session_id is None or principal.credential is None:
        raise NotAuthenticated("there is no page session to end; a key is ended with `tplus keys revoke NAME`")
    await to_thread.run_sync(store.end, reader, principal, request_id(request))
    authenticator.forget(principal.credential)
    response.headers["Cache-Control"] = "no-store"
    delete_cookie(request, response)


async def _former(request: Request, authenticator: AuthenticatorDependency) -> Principal | None:
    """Return the page session that the browser has, None without a valid one."""
    token = read_cookie(request)
    return None if token is None else await authenticator.find(Credential(CredentialKind.PAGE_SESSION, token))


async def _renew(reader: ReaderDependency, session_id: int) -> Opened | None:
    """Renew a session; a database that cannot be written only delays it."""
    try:
        return await to_thread.run_sync(store.renew, reader, session_id)
    except SQLAlchemyError:
        _log.warning("a page session could not be renewed; the next request tries again")
        return None


def _signed_in(request: Request, response: Response, opened: Opened) -> SessionAnswer:
    session = opened.session
    response.headers["Cache-Control"] = "no-store"
    set_cookie(request, response, opened.token, session.expires_at, opened.now)
    return SessionAnswer(
        signed_in=True,
        name=session.key.name,
        scopes=[scope for scope in Scope if scope in session.key.scopes],
        expires_at=session.expires_at,
        renew_at=session.created_at + RENEWED_AFTER,
        open_reads=request.app.state.open_reads,
    )


def _in_order(principal: Principal) -> list[Scope]:
    return [scope for scope in Scope if scope in principal.scopes]
