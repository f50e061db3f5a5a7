"""Requests of the access trial: every operation of the OpenAPI document, every way to be refused, bad texts."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

Headers = dict[str, str]

OWN, FOREIGN = "own", "https://evil.example"
"""Values of Origin: `OWN` is replaced by the server's address."""

BAD_TEXTS = (
    "' OR '1'='1", "'; DROP TABLE api_keys; --", '"; DELETE FROM audit; --', "1; UPDATE api_keys SET scopes='[]'",
    "x' UNION SELECT sha256 FROM api_keys --", "') OR sleep(5)=('", "1 OR 1=1", "\\'; SELECT pg_sleep(5); --",
    "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "%s%s%n", "../../../../etc/passwd", "a\x00b", "\x00", "\ud800",
    "<script>alert(1)</script>", '=HYPERLINK("http://evil.example")', "@SUM(1)", "+1+1", "-1-1", "\t=1", "\r=1",
    "A" * 5000, "\u202e\u0000", "\U0001f4a9", "null", "NaN", "-0", "1e999", "[]", "{}", "true",
    "' AND 1=CAST(version() AS int)--",
)  # fmt: skip
"""SQL injection, NUL, half a surrogate pair, markup, formulas, paths, long and odd texts."""

_HEADERS = ("X-Request-ID", "If-None-Match", "Accept", "Idempotency-Key", "Origin", "Referer", "Last-Event-ID")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the document.

    Attributes:
        method: In upper case.
        path: With its parameters in braces.
        scope: What its key needs; None without one.
        parameters: Name -> where it is: `query`, `path`, `header` or `cookie`.
        fields: Name of each field of the JSON body -> its schema; empty without a body.
        takes_key: Whether it declares a key at all.
    """

    method: str
    path: str
    scope: str | None
    parameters: Mapping[str, str]
    fields: Mapping[str, Any]
    takes_key: bool

    @property
    def is_write(self) -> bool:
        """Whether it writes."""
        return self.method not in ("GET", "HEAD")

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys and cookies of the trial.

    Attributes:
        keys: Token by name: `valid` with all scopes, `without SCOPE`, `expired`, `revoked`.
        cookies: Token by name: `valid` with all scopes, `without SCOPE`, `expired`, `ended`, `revoked`, `wrong`.
    """

    keys: Mapping[str, str]
    cookies: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, and the status that refuses it.

    Attributes:
        operation: The operation.
        kind: What is wrong with it.
        headers: Its headers.
        status: The status that must answer it.
    """

    operation: Operation
    kind: str
    headers: Headers
    status: int


@dataclass(frozen=True, slots=True)
class TextRequest:
    """One request with a bad text in one input.

    Attributes:
        operation: The operation.
        place: Where the text is, such as `query as_of`.
        address: Path with its query.
        headers: Further headers.
        body: JSON body, None without one.
    """

    operation: Operation
    place: str
    address: str
    headers: Headers = field(default_factory=dict)
    body: bytes | None = None


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Return every operation of an OpenAPI document."""
    return [
        Operation(
            method.upper(),
            path,
            each.get("x-required-scope"),
            {parameter["name"]: parameter["in"] for parameter in each.get("parameters", ())},
            _fields(document, each),
            "security" in each,
        )
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]


def address(operation: Operation, values: Mapping[str, str] | None = None) -> str:
    """Return an address of an operation; path parameters without a value get one that may exist."""
    given = {"symbol": "AAPL", **(values or {})}
    path = operation.path
    for name, place in operation.parameters.items():
        if place == "path":
            path = path.replace(f"{{{name}}}", _quoted(given.get(name, "1")))
    return path


def bad_credentials(operation: Operation, credentials: Credentials, *, open_reads: bool) -> Iterator[Attempt]:
    """Yield every way in which an operation refuses a client.

    Args:
        operation: It.
        credentials: Keys and cookies.
        open_reads: Whether reads need no key.
    """
    if not operation.takes_key:
        return
    is_open = open_reads and operation.scope == "read" and not operation.is_write
    for kind, headers in _bad_keys(credentials):
        yield Attempt(operation, kind, headers, 401)
    if not is_open and operation.name != "GET /v1/session":
        yield Attempt(operation, "no key", {}, 401)
        for kind in ("expired", "ended", "revoked", "wrong"):
            headers = {"Cookie": _cookie(credentials.cookies[kind]), "Origin": OWN}
            yield Attempt(operation, f"{kind} cookie", headers, 401)
    if operation.scope is not None:
        token, cookie = (each[f"without {operation.scope}"] for each in (credentials.keys, credentials.cookies))
        yield Attempt(operation, "wrong scope", {"Authorization": f"Bearer {token}"}, 403)
        yield Attempt(operation, "wrong scope of a cookie", {"Cookie": _cookie(cookie), "Origin": OWN}, 403)
    if operation.name == "POST /v1/session":
        key = {"Authorization": f"Bearer {credentials.keys['valid']}"}
        yield Attempt(operation, "foreign Origin", {**key, "Origin": FOREIGN}, 403)
    elif operation.is_write:
        valid = {"Cookie": _cookie(credentials.cookies["valid"])}
        for kind, headers in _bad_pages():
            yield Attempt(operation, kind, {**valid, **headers}, 403)


def _bad_keys(credentials: Credentials) -> Iterator[tuple[str, Headers]]:
    valid = credentials.keys["valid"]
    tokens = {
        "wrong": "tplus_" + "w" * 43,
        "short": "tplus_",
        "cookie as key": credentials.cookies["valid"],
        "key and more": valid + "x",
        "other letter case": valid.swapcase(),
        "injection": "' OR '1'='1",
        "long": "x" * 4000,
        **{kind: credentials.keys[kind] for kind in ("expired", "revoked")},
    }
    for kind, token in tokens.items():
        yield kind, {"Authorization": f"Bearer {token}"}
    yield "Basic", {"Authorization": f"Basic {valid}"}
    yield "without Bearer", {"Authorization": valid}
    # A valid cookie does not replace a key that is refused.
    cookie = {"Cookie": _cookie(credentials.cookies["valid"]), "Origin": OWN}
    yield "wrong key, valid cookie", {"Authorization": "Bearer tplus_" + "v" * 43, **cookie}


def _bad_pages() -> Iterator[tuple[str, Headers]]:
    yield "foreign Origin", {"Origin": FOREIGN}
    yield "Origin null", {"Origin": "null"}
    yield "no Origin", {}
    yield "foreign Referer", {"Referer": f"{FOREIGN}/page"}
    yield "foreign Origin, own Referer", {"Origin": FOREIGN, "Referer": OWN}
    yield "cross-site", {"Origin": OWN, "Sec-Fetch-Site": "cross-site"}
    yield "same-site", {"Origin": OWN, "Sec-Fetch-Site": "same-site"}
    yield "foreign Origin, X-Forwarded-Host", {"Origin": FOREIGN, "X-Forwarded-Host": "evil.example"}


def text_requests(operation: Operation, texts: tuple[str, ...] = BAD_TEXTS) -> Iterator[TextRequest]:
    """Yield requests with each bad text in each input: query, path, header and body."""
    for text in texts:
        for name, place in operation.parameters.items():
            if place == "query":
                yield TextRequest(operation, f"query {name}", f"{address(operation)}?{name}={_quoted(text)}")
            elif place == "path":
                yield TextRequest(operation, f"path {name}", address(operation, {name: text}))
        yield TextRequest(operation, "unknown query", f"{address(operation)}?{_quoted(text)}={_quoted(text)}")
        for name in {*_HEADERS, *(name for name, place in operation.parameters.items() if place == "header")}:
            yield TextRequest(operation, f"header {name}", address(operation), {name: text})
        if operation.is_write:
            yield from _bodies(operation, text)


def _bodies(operation: Operation, text: str) -> Iterator[TextRequest]:
    where, json_type = address(operation), {"Content-Type": "application/json"}
    filled = {each: _example(schema) for each, schema in operation.fields.items()}
    for name in operation.fields:
        for value in (text, [text], {text: text}):
            body = json.dumps({**filled, name: value}).encode()
            yield TextRequest(operation, f"body {name}", where, json_type, body)
    yield TextRequest(operation, "body", where, json_type, text.encode("utf-8", "surrogatepass"))
    yield TextRequest(operation, "body", where, {"Content-Type": "text/plain"}, text.encode("utf-8", "surrogatepass"))
    yield TextRequest(operation, "body", where, json_type, json.dumps({text: text}).encode())


def _example(schema: Mapping[str, Any]) -> Any:
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    kinds = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}
    return kinds.get(str(schema.get("type")), "text")


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of an operation's JSON body."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return dict(_properties(document, content.get("schema", {})))


def _properties(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "$ref" in schema:
        yield from _properties(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for part in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(part, ()):
            yield from _properties(document, each)
    yield from schema.get("properties", {}).items()


def _cookie(token: str) -> str:
    return f"tplus_session={token}"


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")
