"""Recognises plain reads: requests whose answer depends on their address, their key and the time alone."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.datastructures import URL
from starlette.types import Scope

from service.access.keys import is_token, token_hash
from service.api.answers.cache import AnswerKey
from service.api.common.patterns import SYMBOL_PATTERN
from service.api.formats.negotiate import accepted_format
from service.api.limits.hosts import AllowedHosts
from service.settings import Settings

ONE_ROUTE = "/v1/forecasts/{symbol}"
Meaning = TypeVar("Meaning")

_ROUTES = ("/v1/forecasts", "/v1/watchlist")
_BEARER = b"Bearer "
_OTHER = frozenset((b"cookie", b"content-length", b"transfer-encoding", b"upgrade", b"expect"))
"""Headers of requests that are not plain."""

_MOST_REMEMBERED, _LONGEST_REMEMBERED = 256, 200
"""Values of a header whose meaning is remembered, and characters of one: clients choose them."""


@dataclass(slots=True)
class ShownKey:
    """A key that a request shows, and the hash by which it is known."""

    token: str = field(repr=False)
    hash: str


@dataclass(slots=True)
class PlainRequest:
    """A plain read.

    Attributes:
        key: What its answer is kept under.
        heads: Its headers.
        shown: The key that it shows; None without one.
    """

    key: AnswerKey
    heads: Mapping[bytes, bytes]
    shown: ShownKey | None


class PlainRequests:
    """Reads the heads of requests; used in the event loop only.

    Args:
        settings: The root path, other origins, and whether reads need a key.
        hosts: The host names of the service.
    """

    def __init__(self, settings: Settings, hosts: AllowedHosts) -> None:
        self._hosts, self._has_open_reads = hosts, settings.has_open_reads
        self._other = _OTHER | ({b"origin"} if settings.cors_origins else set())
        self._root = settings.root_path
        self._prefixes = tuple({root + route for root in ("", self._root) for route in _ROUTES})
        one = f"(?:{re.escape(self._root)})?/v1/forecasts/({SYMBOL_PATTERN[1:-1]})"
        self._one = re.compile(one, re.ASCII)
        self._allowed: dict[bytes, bool] = {}
        self._accepts: dict[bytes, bool] = {}
        self._servers: dict[bytes, str] = {}

    def concerns(self, scope: Scope) -> bool:
        """Return whether a request is for a route whose answers are kept."""
        is_read = scope["type"] == "http" and scope["method"] == "GET"
        return is_read and str(scope["path"]).startswith(self._prefixes)

    def read(self, scope: Scope) -> PlainRequest | None:
        """Return a request for such a route as a plain one; None if it is not plain."""
        heads = dict(scope["headers"])
        if len(heads) != len(scope["headers"]) or not self._other.isdisjoint(heads):
            return None
        host = heads.get(b"host")
        if host is None or not _remembered(self._allowed, host, self._allows):
            return None
        if b"accept" in heads and not _remembered(self._accepts, heads[b"accept"], _accepts_json):
            return None
        shown, authorization = None, heads.get(b"authorization")
        if authorization is not None:
            shown = _shown_key(authorization)
        if shown is None and (authorization is not None or not self._has_open_reads):
            return None
        return PlainRequest(AnswerKey(scope["scheme"], host, scope["path"], scope["query_string"]), heads, shown)

    def symbol(self, key: AnswerKey) -> str | None:
        """Return the symbol of a request for one newest forecast; None for another one."""
        one = None if key.query else self._one.fullmatch(key.path)
        return None if one is None else one[1]

    def address(self, scope: Scope, key: AnswerKey) -> str:
        """Return the address of a request for one newest forecast as entity tags name it, with the root path."""
        path = key.path if key.path.startswith(f"{self._root}/v1/") else self._root + key.path
        # starlette reads the host each time, which takes as long as all else here; a symbol needs no quoting.
        server = b"%b://%b" % (key.scheme.encode(), key.host)
        return _remembered(self._servers, server, lambda _: str(URL(scope={**scope, "path": ""}))) + path

    def _allows(self, host: bytes) -> bool:
        return self._hosts.allow(host.decode("latin-1"))


def _accepts_json(accept: bytes) -> bool:
    return accepted_format(accept.decode("latin-1")) == "json"


def _shown_key(authorization: bytes) -> ShownKey | None:
    # Not remembered: no token is kept in memory for it, and its hash takes a microsecond.
    token = authorization[len(_BEARER) :].decode("latin-1")
    if not authorization.startswith(_BEARER) or not is_token(token):
        return None
    return ShownKey(token, token_hash(token))


def _remembered(known: dict[bytes, Meaning], value: bytes, read: Callable[[bytes], Meaning]) -> Meaning:
    """Return the meaning of a header's value; a few hundred short ones are remembered."""
    if len(value) > _LONGEST_REMEMBERED:
        return read(value)
    try:
        return known[value]
    except KeyError:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        found = known[value] = read(value)
        return found
