"""Which Host headers name the service."""

import pytest

from service.api.limits.hosts import AllowedHosts, host_name
from service.app import create_app
from service.settings import Settings, load_settings
from tests.support.api.client import TestClient


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Example.COM:8000", "example.com"),
        ("example.com.", "example.com"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
        ("[::1", ""),
        ("[::1]x", ""),
        ("a:b", ""),
        ("a:80@evil", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:8000", "127.0.0.2", "[::1]:8000", "a.localhost"]
)
def test_on_loopback_the_names_of_this_machine_are_accepted(host: str) -> None:
    assert AllowedHosts.of(Settings()).allow(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "192.0.2.1", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b"]
)
def test_on_loopback_every_other_name_is_refused(host: str) -> None:
    assert not AllowedHosts.of(Settings()).allow(host)


def test_elsewhere_any_address_is_accepted_and_no_foreign_name() -> None:
    allowed = AllowedHosts.of(Settings(host="0.0.0.0"))
    assert allowed.allow("192.0.2.1:8000")
    assert allowed.allow("[2001:db8::1]")
    assert allowed.allow("localhost")
    assert not allowed.allow("evil.example")


def test_names_by_setting() -> None:
    settings = load_settings({"TPLUS_ALLOWED_HOSTS": "Api.Example.com, *.example.org,[2001:db8::1]"})
    allowed = AllowedHosts.of(settings)
    assert allowed.allow("api.example.com:443")
    assert allowed.allow("a.b.example.org")
    assert allowed.allow("[2001:db8::1]:8000")
    assert allowed.allow("127.0.0.1:8000")
    assert not allowed.allow("example.org")
    assert not allowed.allow("evilexample.org")
    assert not allowed.allow("192.0.2.1")
    assert AllowedHosts.of(load_settings({"TPLUS_ALLOWED_HOSTS": "*"})).allow("anything.example")


def test_a_foreign_host_gets_a_problem_and_nothing_else(tmp_path: object) -> None:
    with TestClient(create_app(Settings(data_dir=str(tmp_path)))) as client:
        for path in ("/", "/healthz", "/v1/status", "/docs", "/openapi.json", "/nowhere"):
            answer = client.get(path, headers={"Host": "rebound.example:8000"})
            assert (answer.status_code, answer.headers["content-type"]) == (421, "application/problem+json")
            assert "'rebound.example:8000'" in answer.json()["detail"]
            assert answer.headers["x-request-id"] == answer.json()["request_id"]
        assert (
            client.get("/healthz", headers={"Host": "<script>"}).json()["detail"].startswith("this service is not '<")
        )
