"""Apprise in a process of its own: it reaches what the rule permits, and runs and reads nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reliability.alert_receiver import running
from benchmarks.reliability.alert_targets import MESSAGE
from service.alerts.targets.addresses import AddressRule
from service.alerts.targets.apprise import AppriseSender
from service.alerts.targets.apprise_child import Guard, RefusedFile, RefusedProgram, text_of
from service.alerts.targets.result import SendResult

ROOT = Path(__file__).parents[4]


def test_a_message_is_sent_as_text() -> None:
    with running() as receiver:
        sender = AppriseSender(AddressRule(loopback=True), seconds=20)
        assert sender.send(f"json://127.0.0.1:{receiver.port}/ok", MESSAGE) == SendResult(None)
        (request,) = receiver.requests
    sent = json.loads(request.body)
    assert (sent["title"], sent["message"]) == ("Tplus: test", "a test\nmarket time 2026-01-02T22:00:00Z")


@pytest.mark.parametrize("parameters", ["", "?redirect=yes"])
def test_redirects_are_not_followed(parameters: str) -> None:
    with running() as receiver:
        sender = AppriseSender(AddressRule(loopback=True), seconds=20)
        result = sender.send(f"json://127.0.0.1:{receiver.port}/redirect{parameters}", MESSAGE)
        assert receiver.connections == 1
    assert result.error == "the service refused the message or could not be reached"


def test_a_list_of_urls_is_no_target() -> None:
    with running() as receiver:
        sender = AppriseSender(AddressRule(loopback=True), seconds=20)
        sender.send(f"json://127.0.0.1:{receiver.port}/ok,json://127.0.0.1:{receiver.port}/ok", MESSAGE)
        assert len(receiver.requests) <= 1


def test_the_guard_holds_below_every_library() -> None:
    code = (
        "import sys, socket\n"
        "from service.alerts.targets.apprise_child import Guard\n"
        "from service.alerts.targets.addresses import AddressRule\n"
        "sys.addaudithook(Guard(AddressRule()))\n"
        "for act in (lambda: socket.create_connection(('127.0.0.1', 9)), \n"
        "            lambda: socket.socket(socket.AF_UNIX).connect('/x'),\n"
        "            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.0.0.1', 514)),\n"
        "            lambda: __import__('subprocess').run(['true']), lambda: open('/etc/passwd'),\n"
        "            lambda: __import__('os').system('true')):\n"
        "    try:\n"
        "        act()\n"
        "        print('done')\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "ConnectionRefusedError", "ConnectionRefusedError", "ConnectionRefusedError", "RefusedProgram", "RefusedFile",
        "RefusedProgram",
    ]  # fmt: skip


def test_the_guard_refuses_programs_files_and_addresses() -> None:
    guard = Guard(AddressRule())
    guard("socket.connect", (None, ("93.184.215.14", 443)))
    guard("open", (sys.executable, "r", 0))
    with pytest.raises(ConnectionRefusedError, match="link-local"):
        guard("socket.connect", (None, ("169.254.169.254", 80)))
    with pytest.raises(ConnectionRefusedError, match="not an IP address"):
        guard("socket.connect", (None, "/run/docker.sock"))
    with pytest.raises(RefusedFile):
        guard("open", ("/etc/passwd", "r", 0))
    with pytest.raises(RefusedProgram):
        guard("subprocess.Popen", ("/bin/sh", [], None, None))


def test_many_events_are_cut_and_a_replay_is_named() -> None:
    events = [{"message": f"event {number}"} for number in range(22)]
    body = {"type": "source_down", "data": {"mode": "replay", "market_time": "T", "events": events}}
    title, text = text_of(body)
    assert title == "Tplus: source down (replay)"
    assert text.splitlines()[-3:] == ["event 19", "and 2 more", "market time T"]


def test_a_url_that_apprise_does_not_accept_is_a_failure_without_the_url() -> None:
    result = AppriseSender(AddressRule(), seconds=20).send("slack://hidden", MESSAGE)
    assert result.error is not None
    assert "hidden" not in result.error
