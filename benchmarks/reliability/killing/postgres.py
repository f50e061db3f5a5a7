"""A PostgreSQL server of its own, with fsync on, that can be killed with all its processes and restarted."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from tests.support.postgres import Options, find_binaries, folder_of, free_port, make_cluster, runs_as, start, stop

START_SECONDS = 60.0


class KilledServer:
    """A server with a data folder that outlives its processes.

    Args:
        folder: Folder of the cluster, owned by the user who runs it.
        user: That user; None = the current one.
    """

    def __init__(self, folder: Path, user: str | None) -> None:
        options = Options(command=(), initdb=("--no-sync", "--encoding=UTF8"))
        self._binaries, self._user, self._port = find_binaries(), user, free_port()
        self._log = folder / "server.log"
        data = make_cluster(self._binaries, user, folder, options)
        self._command = [
            str(self._binaries / "postgres"), f"-D{data}", f"-p{self._port}", "-clisten_addresses=127.0.0.1",
            "-cunix_socket_directories=", "-cfsync=on", "-csynchronous_commit=on",
        ]  # fmt: skip
        login = f"{quote(options.user)}:{quote(options.password, safe='')}"
        self.url = f"postgresql://{login}@127.0.0.1:{self._port}/postgres"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = start(self._command, self._user, self._log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"the server did not start: {self._log.read_text(errors='replace')[-1500:]}")

    def kill(self) -> int:
        """Kill -9 the server with every process below it; return their number."""
        assert self._process is not None
        found = psutil.Process(self._process.pid)
        family = [found, *found.children(recursive=True)]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        psutil.wait_procs(family[1:], timeout=5)
        return len(family)

    def setting(self, name: str) -> str:
        """Return a setting as the server has it."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        assert row is not None
        return str(row[0])

    def stop(self) -> None:
        """Shut it down."""
        if self._process is not None:
            stop(self._process)


@contextmanager
def killed_server() -> Iterator[KilledServer]:
    """Yield a started server.

    Raises:
        NoPostgres: this machine has none.
    """
    user = runs_as()
    with folder_of(user) as folder:
        server = KilledServer(folder, user)
        try:
            server.start()
            yield server
        finally:
            server.stop()
