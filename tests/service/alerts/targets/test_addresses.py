"""Addresses: private, local and tunnelled ones are refused, in every form."""

import pytest

from service.alerts.targets.addresses import AddressRule, RefusedAddress, UnknownHost

RULE = AddressRule()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "a loopback address"),
        ("::1", "a loopback address"),
        ("::ffff:127.0.0.1", "a loopback address"),
        ("64:ff9b::7f00:1", "a loopback address"),
        ("169.254.169.254", "a link-local address"),
        ("fe80::1%eth0", "a link-local address"),
        ("::ffff:169.254.169.254", "a link-local address"),
        ("224.0.0.251", "a multicast address"),
        ("ff02::1", "a multicast address"),
        ("10.0.0.1", "private or reserved"),
        ("100.100.100.200", "private or reserved"),
        ("168.63.129.16", "private or reserved"),
        ("fd00:ec2::254", "private or reserved"),
        ("fec0::1", "private or reserved"),
        ("2002:a00:1::", "private or reserved"),
        ("::10.0.0.1", "private or reserved"),
        ("64:ff9b::a00:1", "private or reserved"),
        ("::ffff:0:a00:1", "private or reserved"),
        ("4000::1", "private or reserved"),
        ("0.0.0.0", "private or reserved"),
        ("255.255.255.255", "private or reserved"),
        ("localhost", "not an IP address"),
        ("", "not an IP address"),
    ],
)
def test_an_address_that_is_not_public_is_refused(address: str, reason: str) -> None:
    assert RULE.reason_against(address) == reason


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_a_public_address_is_accepted(address: str) -> None:
    assert RULE.reason_against(address) is None


def test_the_setting_opens_loopback_alone() -> None:
    rule = AddressRule(loopback=True)
    assert rule.reason_against("127.0.0.1") is None
    assert rule.reason_against("::1") is None
    assert rule.reason_against("10.0.0.1") == "private or reserved"


def test_plain_http_stays_on_this_machine() -> None:
    rule = AddressRule(loopback=True, only_loopback=True)
    assert rule.reason_against("127.0.0.1") is None
    assert rule.reason_against("93.184.215.14") == "not a loopback address"
    assert AddressRule(only_loopback=True).reason_against("127.0.0.1") == "a loopback address"


def test_resolving_checks_every_address_and_says_which_is_refused() -> None:
    with pytest.raises(RefusedAddress, match=r"localhost has the address .*, which is a loopback address"):
        RULE.resolve("localhost", 443, 5.0)
    assert "127.0.0.1" in AddressRule(loopback=True).resolve("localhost", 443, 5.0)
    assert RULE.resolve("93.184.215.14", 443, 5.0) == ("93.184.215.14",)


@pytest.mark.parametrize("host", ["name.invalid", "a" * 64 + ".invalid", "a..b"])
def test_a_name_that_does_not_resolve_is_reported(host: str) -> None:
    with pytest.raises(UnknownHost):
        RULE.resolve(host, 443, 5.0)
