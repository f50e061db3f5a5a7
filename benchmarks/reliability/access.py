"""Who may do what: every route with every credential that must be refused, and bad texts in every input.

A real API process runs over SQLite and over PostgreSQL, with open and with closed reads. The list of routes is that of
its OpenAPI document. A request that must be refused is answered with 401 or 403; a text is never answered with a 5xx.
Before and after, all rows of all tables are compared by their hashes. Run from the repository's root:

    python -m benchmarks.reliability.access [--quick]

It prints one JSON document, and exits with 1 if a bar is missed. It takes some minutes.
"""

import argparse
import hashlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import insert, select

from benchmarks.reliability.access_requests import (
    BAD_TEXTS,
    OWN,
    Credentials,
    Headers,
    Operation,
    TextRequest,
    address,
    bad_credentials,
    operations,
    text_requests,
)
from service.access.keys import NewKey, create_key, revoke_key, token_hash
from service.access.page_sessions import open_session
from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import metadata, page_sessions
from service.vocabulary import Scope
from tests.support.api.ledger_factory import fill
from tests.support.postgres import NoPostgres, Options, find_binaries, free_port, running_server

QUICK_TEXTS = ("'; DROP TABLE api_keys; --", "a\x00b", "\ud800", '=HYPERLINK("x")')

_REPOSITORY = Path(__file__).parents[2]
_NEVER_BY_TEXTS = frozenset(
    {
        "api_keys", "bars", "bar_revisions", "calibration_states", "config_approvals", "corporate_actions",
        "corporate_action_revisions", "editions", "forecasts", "instruments", "market_clock", "model_decisions",
        "model_versions", "quarantine", "run_outcomes", "runs", "schedulers", "score_batches", "scores",
        "served_forecasts", "sessions", "stamp", "symbol_holds", "track_records",
    }
)  # fmt: skip
"""Tables that no request of the trial may change; into the others a write may add rows, if its text is valid."""

Rows = Mapping[str, frozenset[str]]


@dataclass
class Figures:
    """What the trial saw.

    Attributes:
        statuses: Answers by status.
        refused: Requests that were refused as they must be, by kind.
        texts: Requests with a bad text.
        wrong: Sentences about answers that are not as they must be.
        changed: Sentences about tables that changed and must not.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    wrong: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class Target:
    """One API process over one database.

    Args:
        port: Where it listens.
        database: Its database.
    """

    def __init__(self, port: int, database: Database) -> None:
        self.database = database
        self._own = f"http://127.0.0.1:{port}"
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, method: str, path: str, headers: Headers, body: bytes | None = None) -> tuple[int, Headers, bytes]:
        """Send a request; returns status, headers and body, of a stream nothing."""
        connection = self._connection
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, _header_bytes(self._own if value == OWN else value))
            if method != "GET":
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            answer = connection.getresponse()
            is_stream = "event-stream" in answer.headers.get("Content-Type", "")
            content = b"" if is_stream else answer.read()
            if is_stream or answer.will_close:
                connection.close()
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, content
        except BaseException:
            connection.close()
            raise

    def operations(self) -> list[Operation]:
        """Return the operations of its OpenAPI document."""
        status, _, content = self.send("GET", "/openapi.json", {})
        assert status == 200, content[:200]
        return operations(json.loads(content))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _header_bytes(value: str) -> bytes:
    """Return a header's value; a line break would begin another header."""
    return value.encode("utf-8", "surrogatepass").replace(b"\r", b" ").replace(b"\n", b" ")


@contextmanager
def serving(database: Database, folder: Path, *, open_reads: bool) -> Iterator[Target]:
    """Run the API for a block."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    port = free_port()
    settings = {
        "TPLUS_DATABASE_URL": database.engine.url.render_as_string(hide_password=False),
        "TPLUS_DATA_DIR": str(folder),
        "TPLUS_PORT": str(port),
        "TPLUS_OPEN_READS": str(open_reads).lower(),
        "TPLUS_RATE_LIMIT": "off",
        "TPLUS_RATE_LIMIT_WRITES": "off",
    }
    with (folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.app"],
            env=plain | settings,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=_REPOSITORY,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), (folder / "api.log").read_text()[-2000:]
        target = Target(port, database)
        yield target
        target.close()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def make_credentials(database: Database) -> Credentials:
    """Store keys and page sessions of every kind."""
    now, every = datetime.now(UTC), frozenset(Scope)
    wanted = {"valid": every, "expired": every, "revoked": every}
    wanted |= {f"without {scope}": every - {scope} for scope in Scope}
    keys: dict[str, str] = {}
    cookies = {"wrong": secrets.token_urlsafe(32), "ended": secrets.token_urlsafe(32)}
    with database.transaction() as connection:
        for kind, scopes in wanted.items():
            end = now - timedelta(seconds=1) if kind == "expired" else None
            new = NewKey(kind.replace(" ", "-"), scopes, end)
            key, keys[kind] = create_key(connection, new, now - timedelta(days=1))
            cookies[kind] = open_session(connection, key, now)[1]
            if kind == "revoked":
                revoke_key(connection, key.id, now)
            if kind == "valid":
                ended = {
                    "sha256": token_hash(cookies["ended"]), "key_id": key.id, "signed_in_at": now, "created_at": now,
                    "expires_at": now + timedelta(hours=1), "ended_at": now,
                }  # fmt: skip
                connection.execute(insert(page_sessions).values(ended))
    return Credentials(keys, cookies)


def rows(database: Database) -> Rows:
    """Return the hashes of all rows by table, without when a key was last used."""
    found: dict[str, frozenset[str]] = {}
    with database.reading() as connection:
        for table in metadata.sorted_tables:
            query = select(*(column for column in table.columns if column.name != "last_used_at"))
            hashes = (hashlib.sha256(repr(tuple(row)).encode()).hexdigest() for row in connection.execute(query))
            found[table.name] = frozenset(hashes)
    return found


def try_bad_credentials(target: Target, credentials: Credentials, *, open_reads: bool, figures: Figures) -> None:
    """Send what must be refused, to every operation."""
    before = rows(target.database)
    attempts = [
        attempt for each in target.operations() for attempt in bad_credentials(each, credentials, open_reads=open_reads)
    ]
    for attempt in attempts:
        operation = attempt.operation
        status, headers, _ = target.send(operation.method, address(operation), attempt.headers)
        figures.statuses[status] += 1
        if status == attempt.status and "access-control-allow-origin" not in headers and "set-cookie" not in headers:
            figures.refused[attempt.kind] += 1
        else:
            figures.wrong.append(f"{operation.name} with {attempt.kind}: {status} instead of {attempt.status}")
    after = rows(target.database)
    figures.changed += [f"{name} after refused requests" for name in before if before[name] != after[name]]


def try_texts(target: Target, credentials: Credentials, texts: tuple[str, ...], figures: Figures) -> None:
    """Send bad texts in every input, with a key that permits everything."""
    for operation in target.operations():
        before = rows(target.database)
        for request in text_requests(operation, texts):
            _send_text(target, request, credentials.keys["valid"], figures)
        after = rows(target.database)
        for name in before:
            may_grow = operation.is_write and name not in _NEVER_BY_TEXTS and before[name] <= after[name]
            # The texts in headers accompany a valid key: signing in often ends that key's oldest sessions.
            is_sign_in = name == "page_sessions" and operation.name == "POST /v1/session"
            if before[name] != after[name] and not may_grow and not is_sign_in:
                figures.changed.append(f"{name} after {operation.name}")


def _send_text(target: Target, request: TextRequest, key: str, figures: Figures) -> None:
    headers = {"Authorization": f"Bearer {key}", **request.headers}
    status, answered, content = target.send(request.operation.method, request.address, headers, request.body)
    figures.statuses[status] += 1
    figures.texts += 1
    # 503 is the answer to a valid request for what is not there yet, such as a forecast; its reason says so.
    if status >= 500 and (status != 503 or b"database" in content):
        figures.wrong.append(f"{request.operation.name}, {request.place}: {status} {content[:200]!r}")
    if "html" in answered.get("content-type", ""):
        figures.wrong.append(f"{request.operation.name}, {request.place}: the answer is a page")


def trial(
    database: Database, folder: Path, texts: tuple[str, ...], open_reads: tuple[bool, ...] = (False, True)
) -> Figures:
    """Run everything over one filled database.

    Args:
        database: The database.
        folder: For the log of the API.
        texts: Texts to send in every input.
        open_reads: Whether reads need no key, one after the other; texts are sent the first time.
    """
    figures = Figures()
    credentials = make_credentials(database)
    for is_open in open_reads:
        with serving(database, folder, open_reads=is_open) as target:
            try_bad_credentials(target, credentials, open_reads=is_open, figures=figures)
            if is_open is open_reads[0]:
                try_texts(target, credentials, texts, figures)
    log = (folder / "api.log").read_text(errors="replace")
    secret = [kind for kind, token in {**credentials.keys, **credentials.cookies}.items() if token in log]
    figures.wrong += [f"the log has the token: {kind}" for kind in secret]
    if not figures.refused or (texts and not figures.texts):
        figures.wrong.append("nothing was sent: the OpenAPI document has no operation with a key")
    if "Traceback" in log:
        figures.wrong.append(f"the log has a traceback: {log[-2000:]}")
    return figures


def filled(url: str) -> Database:
    """Return a database with the small ledger of the API's tests."""
    database = Database(url)
    upgrade(database)
    fill(database)
    return database


def document(figures: Figures, seconds: float) -> dict[str, Any]:
    """Return the figures as they are printed."""
    return {
        "answers": dict(sorted(figures.statuses.items())),
        "refused": figures.refused.total(),
        "refused_by_kind": dict(figures.refused),
        "requests_with_bad_texts": figures.texts,
        "wrong": figures.wrong,
        "changed": figures.changed,
        "seconds": round(seconds, 1),
    }


def main() -> int:
    """Run the trial on both databases; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few texts instead of all")
    texts = QUICK_TEXTS if parser.parse_args().quick else BAD_TEXTS
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as ends:
        urls = {"sqlite": f"sqlite:///{name}/access.db"}
        try:
            server = ends.enter_context(running_server(find_binaries(), Options()))
            urls["postgresql"] = ends.enter_context(server.databases.lent())
        except NoPostgres as error:
            sys.stderr.write(f"without PostgreSQL the trial is incomplete: {error}\n")
            return 1
        for kind, url in urls.items():
            folder = Path(name) / kind
            folder.mkdir()
            database, started = filled(url), monotonic()
            figures = trial(database, folder, texts)
            database.close()
            found[kind] = document(figures, monotonic() - started)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return int(any(each["wrong"] or each["changed"] for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
