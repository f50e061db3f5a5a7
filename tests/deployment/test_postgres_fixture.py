"""The server that tests run on: migrated clones that do not see each other, an unprivileged user, a clear end."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from service.db.migrate import current_revision
from service.db.session import Database
from tests.support.paths import ROOT
from tests.support.postgres import NoPostgres, Options, find_binaries, running_server, runs_as, skip_or_fail

ENDLESS = """
import sys, time
from tests.support.postgres import Options, find_binaries, running_server
with running_server(find_binaries(), Options()) as running:
    sys.stdout.write(f"{running.process.pid}\\n")
    sys.stdout.flush()
    time.sleep(600)
"""


def needs_binaries() -> None:
    try:
        find_binaries()
        runs_as()
    except NoPostgres as error:
        skip_or_fail(error)


def test_a_clone_is_migrated_and_its_tests_own(postgres_database: Database) -> None:
    with postgres_database.transaction() as connection:
        assert current_revision(connection) == "1012"
        assert connection.exec_driver_sql("SELECT count(*) FROM audit").scalar_one() == 0
        connection.exec_driver_sql("CREATE TABLE mine (n int)")


def test_another_clone_knows_nothing_of_it(postgres_database: Database) -> None:
    with postgres_database.reading() as connection:
        assert connection.exec_driver_sql("SELECT to_regclass('public.mine')").scalar_one() is None


def test_a_server_of_our_own_wants_its_password_and_is_gone_at_the_end() -> None:
    needs_binaries()
    with running_server(find_binaries(), Options(user="me", password="open-sesame")) as running:
        assert psutil.Process(running.process.pid).uids().effective != 0
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://me:other@127.0.0.1:{running.port}/postgres")
        name = running.databases.create()
        with psycopg.connect(running.databases.url(name)) as connection:
            assert connection.execute("SELECT current_user, current_database()").fetchone() == ("me", name)
        running.databases.drop(name)
    assert running.process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_killed_test_run_leaves_no_server_behind() -> None:
    needs_binaries()
    process = subprocess.Popen([sys.executable, "-c", ENDLESS], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    server = psutil.Process(int(process.stdout.readline()))
    (data,) = [Path(word.removeprefix("-D")) for word in server.cmdline() if word.startswith("-D")]
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
    shutil.rmtree(data.parent)


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_machine_without_postgres_skips_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setitem(os.environ, "CI", ci)
    with pytest.raises(outcome, match="no PostgreSQL here"):
        skip_or_fail(NoPostgres("no PostgreSQL here"))
