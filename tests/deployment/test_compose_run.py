"""The stack without an engine: each service's own command, started natively in order, until every check passes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.fernet import Fernet

from tests.support.compose import order, read, seconds
from tests.support.postgres import (
    NoPostgres,
    Options,
    RunningServer,
    find_binaries,
    free_port,
    running_server,
    skip_or_fail,
    stop,
)

SERVICES = {
    name: service for name, service in read("docker-compose.yml")["services"].items() if "profiles" not in service
}
PASSWORD = "7d3f/0b:9c@41 e2"
API_KEY = "tplus_" + "c0mp0se-K3y_" * 3 + "1234567"
WITH_KEY = {"Authorization": f"Bearer {API_KEY}"}
CLEAN = {"scheduler": (0,), "api": (0, -signal.SIGTERM, 128 + signal.SIGTERM), "db": (0,)}
"""Statuses that supervisors count as a clean end; the API's server raises SIGTERM again when it is done."""


@dataclass
class Stack:
    """The services as processes of this machine.

    Attributes:
        folder: Holds the secret, each service's data folder and its log.
        binaries: The folder of the database's programs.
        api_port: Where the API listens.
        metrics_port: Where its metrics are.
        processes: What runs, by service.
        database: The database's server.
    """

    folder: Path
    binaries: Path
    api_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    database: RunningServer | None = None

    def environment(self, name: str) -> dict[str, str]:
        """A service's environment with this machine's places and addresses in it."""
        assert self.database is not None
        data = self.folder / name
        data.mkdir(exist_ok=True)
        places = {
            "@db:5432/": f"@127.0.0.1:{self.database.port}/",
            "/run/secrets/database_password": str(self.folder / "database_password"),
            "/run/secrets/api_key": str(self.folder / "api_key"),
            "/run/secrets/alert_key": str(self.folder / "alert_key"),
            "/var/lib/tplus": str(data),
            "0.0.0.0": "127.0.0.1",
        }
        found = {"PATH": f"{Path(sys.executable).parent}:{self.binaries}:{os.defpath}", "HOME": str(data)}
        for key, value in SERVICES[name]["environment"].items():
            for inside, here in places.items():
                value = value.replace(inside, here)
            found[key] = value
        if "TPLUS_PORT" in found:
            found["TPLUS_PORT"] = str(self.api_port)
            found["TPLUS_OPEN_READS"] = "false"  # as on the address of the file, which is every interface
        if "TPLUS_METRICS_PORT" in found:
            found["TPLUS_METRICS_PORT"] = str(self.metrics_port)
        return found | {"PGPORT": str(self.database.port)}

    def log(self, name: str) -> Path:
        """What a service said."""
        return self.folder / f"{name}.log"

    def start(self, name: str) -> None:
        """Start a service's own command."""
        data = self.folder / name
        environment = self.environment(name)
        with self.log(name).open("ab") as words:
            self.processes[name] = subprocess.Popen(
                SERVICES[name]["command"], env=environment, cwd=data, stdout=words, stderr=words
            )

    def check(self, name: str) -> "subprocess.CompletedProcess[str]":
        """A service's health check, once."""
        kind, *command = SERVICES[name]["healthcheck"]["test"]
        assert kind == "CMD"
        limit = seconds(SERVICES[name]["healthcheck"]["timeout"])
        environment = self.environment(name)
        return subprocess.run(command, env=environment, cwd=self.folder, capture_output=True, text=True, timeout=limit)

    def until_healthy(self, name: str) -> None:
        """Wait for a service's check to pass, no longer than an engine would."""
        check = SERVICES[name]["healthcheck"]
        limit = seconds(check["start_period"]) + check["retries"] * seconds(check["interval"])
        wait(lambda: self.check(name).returncode == 0, limit, lambda: f"{name} is not healthy: {self.check(name)}")


def wait(done: Callable[[], bool], limit_seconds: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + limit_seconds
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(otherwise())
        time.sleep(0.3)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, up and healthy."""
    try:
        binaries = find_binaries()
    except NoPostgres as error:  # a server named by TPLUS_TEST_POSTGRES is no stand-in for the stack's own
        skip_or_fail(error)
    made = Stack(tmp_path_factory.mktemp("stack"), binaries)
    (made.folder / "database_password").write_text(PASSWORD + "\n")
    (made.folder / "api_key").write_text(API_KEY + "\n")
    (made.folder / "alert_key").write_text(Fernet.generate_key().decode() + "\n")
    with ExitStack() as ends:
        for name in order(SERVICES):
            if name == "db":
                made.database = ends.enter_context(running_server(binaries, database_options()))
                make_database(made.database)
            else:
                made.start(name)
                ends.callback(stop, made.processes[name], signal.SIGKILL)
            settle(made, name)
        yield made


def database_options() -> Options:
    """What the image makes of the service: user and password, initdb's arguments, the server's own."""
    environment, command = SERVICES["db"]["environment"], SERVICES["db"]["command"]
    assert command[0] == "postgres"
    return Options(environment["POSTGRES_USER"], PASSWORD, environment["POSTGRES_INITDB_ARGS"].split(), command[1:])


def make_database(server: RunningServer) -> None:
    """The image makes the database that POSTGRES_DB names."""
    with psycopg.connect(host="127.0.0.1", port=server.port, user="tplus", password=PASSWORD, dbname="postgres") as it:
        it.autocommit = True
        assert SERVICES["db"]["environment"]["POSTGRES_DB"] == "tplus"
        it.execute("CREATE DATABASE tplus")


def settle(stack: Stack, name: str) -> None:
    """Wait for what the others wait for: an end with 0 of what runs once, health of what lasts."""
    if "healthcheck" in SERVICES[name]:
        stack.until_healthy(name)
    else:
        assert stack.processes[name].wait(120) == 0, stack.log(name).read_text()


def address(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.api_port}"


def newest(stack: Stack, query: str = "") -> Any:
    """The API's answer on AAPL, None while there is none."""
    answer = httpx.get(f"{address(stack)}/v1/forecasts/AAPL{query}", headers=WITH_KEY, timeout=10)
    return answer.json() if answer.status_code == 200 else None


@pytest.mark.slow
def test_a_forecast_is_served_over_http(stack: Stack) -> None:
    wait(lambda: newest(stack) is not None, 120, lambda: stack.log("scheduler").read_text()[-3000:])
    document = newest(stack, "?as_of=2012-05-18")
    assert (document["as_of"], document["last_close"]) == ("2012-05-18", 530.38)
    steps = document["multi_step"]["steps"]
    assert [step["label"] for step in steps] == ["T", "T+1", "T+2"]
    assert [step["target_session"] for step in steps] == ["2012-05-21", "2012-05-22", "2012-05-23"]  # after a weekend
    assert all(480 < step["point"] < 590 for step in steps)


@pytest.mark.slow
def test_the_key_of_the_secret_file_permits_everything_and_without_it_nothing_is_read(stack: Stack) -> None:
    for path in ("/v1/status", "/v1/forecasts/AAPL", "/v1/audit"):
        assert httpx.get(address(stack) + path, timeout=10).status_code == 401
    entry = httpx.get(f"{address(stack)}/v1/audit?action=keys.create", headers=WITH_KEY, timeout=10).json()["items"][0]
    assert (entry["actor"], entry["subject"]) == ("TPLUS_API_KEY_FILE", "compose")
    assert entry["detail"] == {"id": 1, "scopes": ["admin", "read", "run"]}


@pytest.mark.slow
def test_every_check_still_passes_and_says_so_in_a_sentence(stack: Stack) -> None:
    assert [name for name in ("db", "api", "scheduler") if stack.check(name).returncode != 0] == []
    assert stack.check("api").stdout == f"the API on 127.0.0.1 port {stack.api_port} is ready\n"
    assert "s ago" in stack.check("scheduler").stdout


@pytest.mark.slow
def test_migrating_again_changes_nothing(stack: Stack) -> None:
    stack.start("migrate")
    assert stack.processes["migrate"].wait(120) == 0
    said = stack.log("migrate").read_text().splitlines()
    assert said[-1] == f"postgresql://tplus:***@127.0.0.1:{port(stack)}/tplus is at migration 1012"


def port(stack: Stack) -> int:
    assert stack.database is not None
    return stack.database.port


@pytest.mark.slow
def test_each_service_ends_in_time_and_clean_when_told_to(stack: Stack) -> None:
    # In the order an engine ends them: what depends before what it depends on. A training runs meanwhile.
    assert stack.database is not None
    stack.processes["db"] = stack.database.process
    for name in ("scheduler", "api", "db"):
        process, service = stack.processes[name], SERVICES[name]
        assert process.poll() is None, f"{name} ended by itself: {stack.log(name).read_text()[-2000:]}"
        began = time.monotonic()
        process.send_signal(getattr(signal, service.get("stop_signal", "SIGTERM")))
        status = process.wait(seconds(service["stop_grace_period"]))
        assert status in CLEAN[name], f"{name} ended with {status} after {time.monotonic() - began:.1f} s"
        if name == "scheduler":
            assert stack.check("api").returncode == 0  # what is stored is served on
    for name in ("migrate", "api", "scheduler"):
        words = stack.log(name).read_text()
        assert "Traceback" not in words
        assert not any(secret in words for secret in (PASSWORD, "7d3f%2F0b", API_KEY))
