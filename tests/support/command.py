"""The real command line in its own process, folder and environment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command_server import command_server
from tests.support.paths import ROOT

_RUN = "from service.cli import main; main()"
LIMIT = 120.0
"""Real seconds after which a command counts as hanging."""


@dataclass(frozen=True)
class Answer:
    """Result of a command."""

    status: int
    out: str
    error: str

    @property
    def document(self) -> Any:
        """Its `--json` document."""
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The last line on standard error, without a traceback."""
        assert "Traceback" not in self.error + self.out, self.error[-2000:]
        lines = [line for line in self.error.splitlines() if line.startswith("tplus: ")]
        assert len(lines) == 1, self.error[-2000:]
        return lines[0].removeprefix("tplus: ")


@dataclass(frozen=True)
class CommandLine:
    """`tplus` with the settings of a test.

    Attributes:
        folder: Data folder and working folder.
        settings: `TPLUS_` settings by their names without the prefix.
    """

    folder: Path
    settings: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Return this process's environment with only the test's settings."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TPLUS_")}
        chosen = {"DATA_DIR": str(self.folder), "REFERENCE_SYMBOLS": "", **self.settings}
        return plain | {"PYTHONPATH": str(ROOT)} | {f"TPLUS_{name}": value for name, value in chosen.items()}

    def having(self, **settings: str) -> "CommandLine":
        """Return the same command line with other settings."""
        return CommandLine(self.folder, {**self.settings, **settings})

    def run(self, *words: str) -> Answer:
        """Run a command to its end."""
        return Answer(*command_server().run(words, self.environment, self.folder, LIMIT))

    def start(self, *words: str, log: Path) -> "subprocess.Popen[bytes]":
        """Start a long-running command; its output is appended to a file."""
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-c", _RUN, *words],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self.environment,
                start_new_session=True,
            )


def wait_for(what: Callable[[], bool], seconds: float = LIMIT) -> None:
    """Poll until a condition holds; fails after some real seconds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "the condition did not hold in time"
        time.sleep(0.05)


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill a started command and its process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait(10)
