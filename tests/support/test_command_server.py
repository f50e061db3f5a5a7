"""The server of the tests' commands outlives a client that gives up."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command_server import CommandServer


def test_after_a_command_over_its_limit_the_next_one_is_served(tmp_path: Path) -> None:
    server = CommandServer()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            server.run(["--version"], os.environ, tmp_path, 1e-9)
        status, out, _ = server.run(["--help"], os.environ, tmp_path, 120.0)
        assert status == 0
        assert "forecast" in out
    finally:
        server.close()
