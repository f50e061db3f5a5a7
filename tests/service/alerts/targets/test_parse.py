"""Targets: https and listed Apprise services; what is shown of them."""

import pytest

from service.alerts.targets.addresses import AddressRule, RefusedAddress
from service.alerts.targets.parse import BadTarget, parse_target

STRICT, LOOPBACK = AddressRule(), AddressRule(loopback=True)


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("https://93.184.215.14/hook/secret?token=a", "webhook", "https://93.184.215.14/..."),
        ("https://93.184.215.14:8443", "webhook", "https://93.184.215.14:8443/"),
        ("https://93.184.215.14/?token=a", "webhook", "https://93.184.215.14/..."),
        ("slack://TokenA/TokenB/TokenC", "apprise", "slack://..."),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "apprise", "tgram://..."),
        ("mailtos://user:pass@93.184.215.14?to=a@example.com", "apprise", "mailtos://93.184.215.14/..."),
        ("ntfys://topic", "apprise", "ntfys://..."),
    ],
)
def test_a_target_shows_scheme_and_host_alone(text: str, kind: str, shown: str) -> None:
    target = parse_target(text, STRICT)
    assert (target.kind, target.url, target.shown) == (kind, text, shown)
    assert "token=a" not in repr(target)
    assert "pass" not in repr(target)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("example.com/hook", "not a URL"),
        ("http://93.184.215.14/", "webhooks need https"),
        ("https://user@93.184.215.14/", "has a user or password"),
        ("https://93.184.215.14/#a", "has a fragment"),
        ("https://93.184.215.14:0/", "no valid host"),
        ("https://93.184.215.14:99999/", "host or port is not valid"),
        ("https://93.184.215.14/a b", "printable ASCII"),
        ("https://93.184.215.14/\x00", "printable ASCII"),
        ("https://" + "a" * 2000, "printable ASCII"),
        ("syslog://", r"alerts cannot go to syslog://; use https:// or one of discord"),
        ("json://93.184.215.14/", "alerts cannot go to json://"),
        ("slack://a/b/c?template=/etc/passwd", "the parameter template is not accepted"),
        ("jsons://93.184.215.14/?verify=no", "the parameter verify is not accepted"),
        ("matrixs://user:pass@93.184.215.14/#room?verify=no", "the parameter verify is not accepted"),
        ("jsons://93.184.215.14/?a=b;verify=no", "the parameter verify is not accepted"),
        ("jsons://93.184.215.14/?a=b#&%56erify=no", "the parameter verify is not accepted"),
        ("slack://a/b/c/#channel?attach=/etc/passwd", "the parameter attach is not accepted"),
        ("mailtos://user:pass@93.184.215.14?to=a@example.com&mode=Insecure", "sends mail without TLS"),
        ("mailtos://user:pass@93.184.215.14?mode=insecure&to=a@example.com&mode=ssl", "sends mail without TLS"),
    ],
)
def test_what_is_not_accepted_says_why(text: str, sentence: str) -> None:
    with pytest.raises(BadTarget, match=sentence):
        parse_target(text, STRICT)


def test_plain_http_needs_the_setting_and_a_loopback_address() -> None:
    assert parse_target("http://127.0.0.1:9/hook", LOOPBACK).shown == "http://127.0.0.1:9/..."
    with pytest.raises(RefusedAddress):
        parse_target("http://127.0.0.1:9/hook", STRICT)
    with pytest.raises(BadTarget, match="TPLUS_ALERT_LOOPBACK_HTTP"):
        parse_target("http://93.184.215.14/hook", LOOPBACK)


def test_the_host_of_an_apprise_service_is_checked() -> None:
    with pytest.raises(RefusedAddress):
        parse_target("gotifys://10.0.0.1/token", STRICT)
    with pytest.raises(RefusedAddress):
        parse_target("matrixs://user:pass@localhost/#room", STRICT)
