"""The process that sends one message with Apprise, with the rule for addresses enforced below every library.

Apprise's services connect with libraries of their own, which resolve names themselves. An audit hook of Python sees
every connect, whichever library makes it, with the address: it refuses those that are not public, every program, and
every file outside the installation. Hooks cannot be removed. The target comes on standard input, never as an argument.
"""

import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import Any

from service.alerts.targets.addresses import AddressRule, RefusedAddress

MAX_LINES = 20
"""Most events of one message that are written out."""

_PROGRAMS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "os.forkpty",
    "pty.spawn",
)
_SENDS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_READABLE = ("/etc/ssl", "/etc/pki", "/etc/mime.types", "/usr/share", "/usr/lib", "/dev/null", "/dev/urandom")
"""Paths outside of the installation that libraries read: certificates, kinds of files, time zones."""

_LIBRARIES = tuple(path for path in sys.path if path.endswith(("site-packages", "dist-packages")))

_MEMORY = 2 * 1024**3
"""Bytes of address space: a service's endless answer ends this process, not the machine."""


class RefusedFile(Exception):
    """A library opened a file that a target has no business with."""


class RefusedProgram(Exception):
    """A library started a program."""


class Guard:
    """The audit hook.

    Args:
        rule: The rule for addresses.
    """

    def __init__(self, rule: AddressRule) -> None:
        self._rule = rule
        roots = (sys.prefix, sys.base_prefix, *_LIBRARIES, *_READABLE)
        self._roots = tuple(os.path.realpath(root) for root in roots)
        self.refused: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Refuse what a target may not do."""
        if event in _SENDS:
            self._check_address(arguments[1])
        elif event == "open" and isinstance(arguments[0], str | bytes):
            self._check_file(arguments[0])
        elif event in _PROGRAMS:
            self.refused = "a target may not run programs"
            raise RefusedProgram(self.refused)

    def _check_address(self, address: object) -> None:
        if address is None:  # sendto of a socket that is connected
            return
        host = address[0] if isinstance(address, tuple) else "a local socket"
        try:
            self._rule.check("the target", str(host))
        except RefusedAddress as error:
            self.refused = str(error)
            # An OSError, so that every library reports it as a connection that failed.
            raise ConnectionRefusedError(str(error)) from error

    def _check_file(self, name: str | bytes) -> None:
        path = os.path.realpath(os.fsdecode(name))
        if not any(path == root or path.startswith(root.rstrip("/") + "/") for root in self._roots):
            self.refused = "a target may not read files"
            raise RefusedFile(self.refused)


def main() -> int:
    """Read one request from standard input, send it, and write the result as JSON; returns 0."""
    request = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)  # Apprise logs URLs
    import apprise

    apprise.Apprise.instantiate(
        "none://"
    )  # loads every service now: a busy machine takes long, and the guard is not on
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.setitimer(signal.ITIMER_REAL, float(request["seconds"]))  # ends this process by its signal
    guard = Guard(AddressRule(bool(request["loopback"])))
    sys.addaudithook(guard)
    error = _send(apprise, request, guard)
    sys.stdout.write(json.dumps({"error": error}))
    return 0


def _send(apprise: Any, request: Mapping[str, Any], guard: Guard) -> str | None:
    """Return why the message was not sent, None if it was."""
    asset = apprise.AppriseAsset(
        app_id="Tplus", app_desc="Tplus alerts", app_url="", storage_mode=apprise.PersistentStoreMode.MEMORY,
        plugin_paths=[], secure_logging=True, async_mode=False, http_redirects=False,
    )  # fmt: skip
    try:
        # One service: `Apprise.add` would take a list of URLs apart.
        service = apprise.Apprise.instantiate(request["url"], asset=asset)
        if service is None:
            return guard.refused or "Apprise does not accept this URL; see its documentation of the service"
        service.verify_certificate, service.redirects = True, False  # whatever its parameters say
        sender = apprise.Apprise(service, asset=asset)
        title, text = text_of(json.loads(request["body"]))
        sent = sender.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:  # a service's own fault; its text may contain the URL
        return guard.refused or f"the service failed with {type(error).__name__}"
    return None if sent else guard.refused or "the service refused the message or could not be reached"


def text_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return title and text of a message for people."""
    data = body["data"]
    kind = str(body["type"]).replace("_", " ")
    events = data["events"]
    replay = " (replay)" if data["mode"] == "replay" else ""
    lines = [str(event["message"]) for event in events[:MAX_LINES]]
    if len(events) > MAX_LINES:
        lines.append(f"and {len(events) - MAX_LINES} more")
    return f"Tplus: {kind}{replay}", "\n".join([*lines, f"market time {data['market_time']}"])


if __name__ == "__main__":
    raise SystemExit(main())
