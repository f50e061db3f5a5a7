"""Requests over HTTP to a real service: carried out by its scheduler, also after kill -9, each once."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import audit, run_requests, runs
from service.vocabulary import Scope
from tests.support.api.keys import authorization
from tests.support.api_process import start_api
from tests.support.command import CommandLine, kill_group, wait_for
from tests.support.postgres import free_port

SETTINGS = {
    "CLOCK": "replay:2012-03-01T23:00:00Z:600", "SYMBOLS": "AAPL,IBM", "LEASE_SECONDS": "3", "POLL_SECONDS": "0.1",
    "GROUPS": "AAPL=other,IBM=other,MSFT=other", "RETRY_SECONDS": "1",
}  # fmt: skip


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> CommandLine:
    return CommandLine(tmp_path, {**SETTINGS, "DATABASE_URL": database_url})


@pytest.fixture
def api(tmp_path: Path, database_url: str) -> Iterator[httpx.Client]:
    port = free_port()
    process = start_api(tmp_path / "unused.db", port, None, {"TPLUS_DATABASE_URL": database_url})
    try:
        assert process.stdout is not None
        process.stdout.readline()
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ended(client: httpx.Client, location: str) -> dict[str, Any]:
    def has_ended() -> bool:
        return client.get(location).json()["state"] not in ("pending", "accepted")

    wait_for(has_ended)
    document: dict[str, Any] = client.get(location).json()
    return document


@pytest.mark.slow
def test_requests_are_carried_out_once_also_after_a_kill(
    line: CommandLine, api: httpx.Client, database: Database
) -> None:
    first = line.start("schedule", log=line.folder / "first.log")
    wait_for(lambda: database_has_runs(database))
    headers = authorization(database, Scope.READ, Scope.RUN, Scope.ADMIN)
    requests = [
        api.put("/v1/symbols/MSFT", headers=headers),
        api.put("/v1/symbols/NOPE", headers=headers),
        api.post("/v1/runs", headers=headers, json={"job": "score", "scope": "XNYS"}),
        api.post("/v1/runs", headers=headers, json={
            "job": "backfill", "scope": "XNYS", "first": "2011-12-01", "last": "2012-02-15", "symbols": ["IBM"],
        }),
    ]  # fmt: skip
    assert [answer.status_code for answer in requests] == [202] * 4
    kill_group(first)
    second = line.start("schedule", log=line.folder / "second.log")
    found = [ended(api, answer.headers["location"]) for answer in requests]
    assert [document["state"] for document in found] == ["done", "rejected", "done", "done"]
    assert found[1]["reason"].startswith("NOPE: the sample holds AAPL, FB, GOOG, IBM, MSFT only;")
    backfill = api.get(found[3]["runs"][0]["href"]).json()
    assert (backfill["state"], backfill["outcomes"]) == (
        "done", [{"symbol": "IBM", "state": "published", "reason": "52 sessions"}]
    )  # fmt: skip
    second.send_signal(signal.SIGTERM)
    second.wait(60)
    with database.reading() as connection:
        count = connection.execute(select(run_requests.c.id)).all()
        carried = connection.execute(select(audit.c.action).where(audit.c.action == "symbols.add")).all()
        jobs = connection.execute(select(runs.c.id).where(runs.c.job == "backfill")).all()
    assert (len(count), len(carried), len(jobs)) == (4, 1, 1)
    assert line.run("db", "check").status == 0


def database_has_runs(database: Database) -> bool:
    with database.reading() as connection:
        return (
            connection.execute(select(runs.c.id).where(runs.c.job == "forecast", runs.c.state == "done")).first()
            is not None
        )
