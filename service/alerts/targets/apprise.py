"""Sends a message with Apprise, in a process of its own that ends at the limit of time."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.result import Message, SendResult

SECONDS = 10.0
"""Time in total for sending one message."""

START_SECONDS = 20.0
"""Further time for starting the process: a busy machine loads Apprise slowly."""

_ROOT = Path(__file__).resolve().parents[3]
_MAX_OUTPUT = 2_000


class AppriseSender:
    """Sends messages with Apprise.

    Args:
        rule: The rule for addresses.
        seconds: Time for one attempt, the start of the process apart.
    """

    def __init__(self, rule: AddressRule, seconds: float = SECONDS) -> None:
        self._rule, self._seconds = rule, seconds

    def send(self, url: str, message: Message) -> SendResult:
        """Send one message and return its result; every failure is a result."""
        request = json.dumps(
            {"url": url, "body": message.body, "loopback": self._rule.loopback, "seconds": self._seconds}
        )
        command = [sys.executable, "-m", "service.alerts.targets.apprise_child"]
        try:
            done = subprocess.run(
                command,
                input=request.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # may contain the URL
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=_ROOT,
                timeout=self._seconds + START_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return SendResult(f"not sent within {self._seconds:g} s")
        except OSError as error:
            return SendResult(f"the process for Apprise cannot be started ({error.strerror})")
        if done.returncode == -signal.SIGALRM:
            return SendResult(f"not sent within {self._seconds:g} s")
        try:
            answer = json.loads(done.stdout[:_MAX_OUTPUT])
            return SendResult(answer["error"])
        except (ValueError, KeyError, TypeError):
            return SendResult(f"the process for Apprise ended with status {done.returncode} and no result")
