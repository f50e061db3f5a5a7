"""Targets of alerts on private addresses, redirects, and names whose address changes: all refused.

Run from the repository's root:

    python -m benchmarks.reliability.alert_targets [--quick] [--addresses 20000]

Real receivers listen on loopback, and must not see a connection. The resolver alone is replaced, for names whose
answers change. It prints one JSON document, and exits with 1 if a target is accepted that must not be, if a receiver
is reached, or if what is permitted fails.
"""

import argparse
import ipaddress
import json
import random
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from benchmarks.reliability.alert_receiver import Receiver, running
from service.alerts.targets.addresses import AddressRule, RefusedAddress, UnknownHost
from service.alerts.targets.apprise import AppriseSender
from service.alerts.targets.parse import BadTarget, parse_target
from service.alerts.targets.result import Message
from service.alerts.targets.webhook import WebhookSender

PUBLIC = "93.184.215.14"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # audit: planted
MESSAGE = Message(
    "msg_1",
    json.dumps(
        {
            "type": "test",
            "data": {"mode": "live", "market_time": "2026-01-02T22:00:00Z", "events": [{"message": "a test"}]},
        }
    ),
)
AT = datetime(2026, 1, 2, 22, tzinfo=UTC)

NETWORKS = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/8",
    "224.0.0.0/4", "240.0.0.0/4", "192.0.0.0/24", "198.18.0.0/15", "fc00::/7", "fe80::/10", "ff00::/8", "::1/128",
    "::/128", "fec0::/10", "2001:db8::/32", "2002::/16", "2001::/32", "64:ff9b:1::/48", "::ffff:10.0.0.0/104",
    "::ffff:127.0.0.0/104", "::ffff:192.168.0.0/112", "::ffff:169.254.0.0/112", "64:ff9b::10.0.0.0/104",
    "64:ff9b::127.0.0.0/104", "64:ff9b::169.254.0.0/112", "64:ff9b::192.168.0.0/112", "::10.0.0.0/104",
)  # fmt: skip
"""Private, local, link-local, multicast and reserved networks; mapped, by NAT64 and tunnelled."""

HOSTS = (
    "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]", "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200",
    "168.63.129.16", "192.0.0.192", "10.1.2.3", "172.20.0.1", "192.168.1.1", "[64:ff9b::7f00:1]", "[fe80::1]",
    "224.0.0.1", "255.255.255.255", "[2002:7f00:1::]",
)  # fmt: skip
"""Hosts of URLs, in every form that resolves: loopback, metadata of the clouds, private networks."""

BAD_TARGETS = (
    "http://example.com/", "https://", "https://user:pass@example.com/", "https://example.com/#part", "ftp://example.com/",
    "file:///etc/passwd", "https://example.com:0/", "https://example.com:99999/", "https://exa mple.com/",
    "https://example.com\\@10.0.0.1/", "not a URL", "syslog://", "rsyslog://10.0.0.1", "dbus://", "gnome://", "json://a.b",
    "xml://a.b", "form://a.b", "gotify://a.b/token", "mailto://user:pass@example.com", "windows://", "macosx://",
    "apprises://example.com/x", "slack://a/b/c?template=/etc/passwd", "fcm://project/?keyfile=/etc/passwd",
    "jsons://93.184.215.14/?verify=no", "discord://a/b?+template=/etc/passwd", "mailtos://u:p@10.0.0.1", "jsons://127.0.0.1/",
    "gotifys://169.254.169.254/token", "ntfys://[::1]/topic", "matrixs://u:p@192.168.0.1/#room",
)  # fmt: skip


@contextmanager
def answers(host: str, replies: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Let the resolver answer a name with one reply after the other, and its last one from then on.

    Yields:
        The numbers of the replies that were given.
    """
    real = socket.getaddrinfo
    given: list[int] = []

    def resolve(name: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if name != host:
            return real(name, port, *arguments, **options)
        number = min(len(given), len(replies) - 1)
        given.append(number)
        return [entry for address in replies[number] for entry in real(address, port, *arguments, **options)]

    socket.getaddrinfo = resolve  # type: ignore[assignment]
    try:
        yield given
    finally:
        socket.getaddrinfo = real


def is_refused(text: str) -> bool:
    """Return whether a target is refused when it is added."""
    try:
        parse_target(text, AddressRule())
    except (BadTarget, RefusedAddress, UnknownHost):
        return True
    return False


def accepted_addresses(count: int) -> list[str]:
    """Return those of random addresses in the refused networks that are accepted: none may be."""
    source = random.Random(11)
    rule = AddressRule()
    accepted = []
    for number in range(count):
        network = ipaddress.ip_network(NETWORKS[number % len(NETWORKS)])
        address = str(network[source.randrange(network.num_addresses)])
        if rule.reason_against(address) is None:
            accepted.append(address)
    return accepted


def refused_public(count: int) -> list[str]:
    """Return those of random public addresses that are refused: none may be."""
    source = random.Random(12)
    rule = AddressRule()
    networks = [
        ipaddress.ip_network(each) for each in ("8.0.0.0/8", "52.0.0.0/8", "93.0.0.0/8", "2600::/16", "2a00::/16")
    ]
    texts = [str(network[source.randrange(network.num_addresses)]) for network in networks for _ in range(count)]
    return [text for text in texts if rule.reason_against(text) is not None]


def send_trials(receiver: Receiver, secure: Receiver) -> dict[str, Any]:
    """Send to receivers on loopback in every forbidden way; return errors and connections by trial.

    Args:
        receiver: Plain http.
        secure: What a forbidden https target would reach.
    """
    strict = WebhookSender(AddressRule())
    found: dict[str, Any] = {}

    def note(name: str, error: str | None) -> None:
        found[name] = {"error": error, "connections": receiver.connections + secure.connections}

    note("loopback address", strict.send(secure.url("ok", scheme="https"), SECRET, MESSAGE, AT).error)
    note("loopback name", strict.send(secure.url("ok", "localhost", "https"), SECRET, MESSAGE, AT).error)
    rebinding = secure.url("ok", "rebinding.example", "https")
    with answers("rebinding.example", [[PUBLIC], ["127.0.0.1"]]):
        found["accepted while public"] = not is_refused(rebinding)
        note("name that turned to loopback", strict.send(rebinding, SECRET, MESSAGE, AT).error)
    with answers("mixed.example", [[PUBLIC, "127.0.0.1"]]):
        note("name with a public and a loopback address", strict.send(
            secure.url("ok", "mixed.example", "https"), SECRET, MESSAGE, AT).error)  # fmt: skip
        found["mixed name refused when added"] = is_refused("https://mixed.example/")
    apprise = AppriseSender(AddressRule(), seconds=8)
    note("apprise to loopback", apprise.send(f"jsons://localhost:{secure.port}/", MESSAGE).error)
    note("apprise by plain http to loopback", apprise.send(f"json://127.0.0.1:{receiver.port}/ok", MESSAGE).error)
    note("apprise mail to loopback", apprise.send(
        f"mailtos://u:p@example.com:{receiver.port}?smtp=127.0.0.1&to=a@example.com", MESSAGE).error)  # fmt: skip
    return found


def redirect_trial(receiver: Receiver) -> dict[str, Any]:
    """Send to a receiver that redirects; what follows must not be reached."""
    error = WebhookSender(AddressRule(loopback=True)).send(receiver.url("redirect"), SECRET, MESSAGE, AT).error
    return {"error": error, "followed": sum(each.path == "/ok" for each in receiver.requests)}


def control_trial(receiver: Receiver) -> dict[str, Any]:
    """Send in the permitted ways: without it, a sender that sends nothing would pass."""
    rule = AddressRule(loopback=True)
    with answers("once.example", [["127.0.0.1"], [PUBLIC]]) as given:
        webhook = WebhookSender(rule).send(receiver.url("ok", "once.example"), SECRET, MESSAGE, AT).error
    apprise = AppriseSender(rule, seconds=8).send(f"json://127.0.0.1:{receiver.port}/ok", MESSAGE).error
    arrived = sum(each.path == "/ok" for each in receiver.requests)
    return {"webhook": webhook, "apprise": apprise, "arrived": arrived, "resolved": len(given)}


def run(addresses: int) -> dict[str, Any]:
    """Return the figures of all trials."""
    with running() as receiver, running() as secure:
        sent = send_trials(receiver, secure)
    with running() as redirecting:
        redirect = redirect_trial(redirecting)
    with running() as control:
        controlled = control_trial(control)
    return {
        "random_addresses": addresses,
        "accepted_addresses": accepted_addresses(addresses),
        "refused_public_addresses": refused_public(addresses // 10),
        "accepted_hosts": [host for host in HOSTS if not is_refused(f"https://{host}/hook")],
        "accepted_targets": [text for text in BAD_TARGETS if not is_refused(text)],
        "hosts": len(HOSTS),
        "targets": len(BAD_TARGETS),
        "sent": sent,
        "redirect": redirect,
        "control": controlled,
    }


def misses(figures: dict[str, Any]) -> list[str]:
    """Return one sentence per bar that is missed."""
    lists = ("accepted_addresses", "refused_public_addresses", "accepted_hosts", "accepted_targets")
    found = [f"{name}: {figures[name]}" for name in lists if figures[name]]
    for name, result in figures["sent"].items():
        if isinstance(result, dict) and (result["error"] is None or result["connections"]):
            found.append(f"{name}: {result}")
        elif result is False:
            found.append(f"{name}: not so")
    if figures["redirect"]["error"] is None or figures["redirect"]["followed"]:
        found.append(f"redirect: {figures['redirect']}")
    if figures["control"] != {"webhook": None, "apprise": None, "arrived": 2, "resolved": 1}:
        found.append(f"control: {figures['control']}")
    return found


def main(arguments: list[str]) -> int:
    """Run the trials; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer addresses")
    parser.add_argument("--addresses", type=int, default=20_000)
    options = parser.parse_args(arguments)
    figures = run(300 if options.quick else options.addresses)
    missed = misses(figures)
    print(json.dumps({"figures": figures, "missed": missed}, indent=2))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
