"""The real API in its own process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.support.paths import ROOT
from tests.support.postgres import free_port


def start_api(
    database: Path,
    port: int | None = None,
    stderr: int | IO[str] = subprocess.PIPE,
    settings: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    """Start the API over an SQLite file; its first line on standard output has its URL.

    Args:
        database: The file; it need not be there.
        port: None = a free one.
        stderr: Where its complaints go.
        settings: More variables of its environment.
    """
    plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
    chosen = {
        "TPLUS_DATABASE_URL": f"sqlite:///{database}",
        "TPLUS_DATA_DIR": str(database.parent),
        "TPLUS_ACCESS_LOG": "false",  # nothing reads the pipe: a full one would stop the process
        "TPLUS_PORT": str(free_port() if port is None else port),
    }
    command = [sys.executable, "-m", "service.app"]
    return subprocess.Popen(
        command, env={**plain, **chosen, **(settings or {})}, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=ROOT
    )
