"""Connections are counted in total and by address; too much unread cuts off the slowest clients."""

from dataclasses import dataclass

from service.api.server.http_limits import HttpLimits, OpenConnections, share
from service.settings import load_settings


@dataclass(eq=False)
class Slow:
    """A connection with unread bytes."""

    size: int
    is_cut_off: bool = False

    def unread(self) -> int:
        return self.size

    def cut_off(self) -> None:
        self.is_cut_off = True


def test_a_share_is_rounded_up() -> None:
    assert [share(512, 1), share(512, 4), share(10, 4), share(2, 4)] == [512, 128, 3, 1]


def test_limits_of_the_settings() -> None:
    variables = {"TPLUS_WORKERS": "4", "TPLUS_MAX_CONNECTIONS": "100", "TPLUS_MAX_BODY_BYTES": "2048"}
    limits = HttpLimits.of(load_settings(variables))
    assert (limits.connections, limits.body_bytes, limits.unread_bytes) == (25, 2048, 16_777_216)


def test_connections_of_an_address_and_in_total() -> None:
    limits = HttpLimits.of(load_settings({"TPLUS_MAX_CONNECTIONS_PER_ADDRESS": "2", "TPLUS_MAX_CONNECTIONS": "8"}))
    counted = OpenConnections(limits)
    assert [counted.opened("192.0.2.1") for _ in range(3)] == [
        None,
        None,
        "this address has 2 open connections, as many as it may",
    ]
    counted.closed("192.0.2.1")
    counted.closed("192.0.2.1")
    assert counted.opened("192.0.2.1") is None
    assert [counted.opened(f"192.0.2.{number}") for number in range(2, 8)] == [None] * 6
    assert counted.opened("192.0.2.9") == "the service has as many open connections as it takes"


def test_a_trusted_proxy_has_no_limit_of_its_own() -> None:
    variables = {"TPLUS_MAX_CONNECTIONS_PER_ADDRESS": "2", "TPLUS_TRUSTED_PROXIES": "10.0.0.0/8"}
    counted = OpenConnections(HttpLimits.of(load_settings(variables)))
    assert [counted.opened("10.1.1.1") for _ in range(5)] == [None] * 5
    counted.closed("10.1.1.1")
    assert (counted.total, dict(counted.by_address)) == (4, {})


def test_the_clients_that_do_not_read_for_longest_are_cut_off() -> None:
    counted = OpenConnections(HttpLimits(unread_bytes=100))
    connections = [Slow(40), Slow(40), Slow(40), Slow(90)]
    counted.paused(connections[0])
    counted.paused(connections[1])
    counted.resumed(connections[0])
    counted.paused(connections[2])
    assert not any(each.is_cut_off for each in connections)
    counted.paused(connections[3])
    assert [each.is_cut_off for each in connections] == [False, True, True, False]
    assert list(counted.slow) == [connections[3]]
