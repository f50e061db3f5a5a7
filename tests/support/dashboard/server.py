"""The real API process over a database, on its own port."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.api_process import start_api
from tests.support.postgres import free_port

STOP_SECONDS = 15.0


class Server:
    """One API process that can be stopped and restarted on the same port.

    Args:
        database: The SQLite file; it need not exist.
        log: File for its standard error.
        settings: More variables of its environment.
    """

    def __init__(self, database: Path, log: Path, settings: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._database, self._log, self._settings = database, log, settings
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the process; returns when it listens."""
        with self._log.open("a") as log:
            self._process = start_api(self._database, self.port, log, self._settings)
        line = _stdout(self._process).readline()
        assert line, f"the server did not start: {self._log.read_text()[-2000:]}"
        assert json.loads(line)["url"] == self.url

    def stop(self) -> int:
        """Stop the process as a service manager does; returns its status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            _stdout(process).close()
        return process.returncode


def _stdout(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def serving(database: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run a server over a database during the block; its log must have no traceback."""
    log = database.parent / "server.log"
    server = Server(database, log, settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    assert "Traceback" not in log.read_text()
