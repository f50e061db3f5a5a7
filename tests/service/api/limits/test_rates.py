"""429 beyond a limit: per valid key, else per address; headers; local clients; Redis that does not answer."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.access.keys import NewKey, create_key
from service.app import create_app
from service.clock import process_now
from service.db.session import Database
from service.errors import SettingsError
from service.settings import Settings, load_settings
from service.vocabulary import Scope
from tests.support.api.client import TestClient

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def served(database: Database, variables: Mapping[str, str], client: str = "203.0.113.9") -> Iterator[TestClient]:
    app = create_app(load_settings(variables), database)
    with TestClient(app, client=(client, 50000)) as opened:
        yield opened


@SQLITE
def test_a_request_too_many_is_429_and_says_when_to_return(database: Database) -> None:
    with served(database, {"TPLUS_RATE_LIMIT": "3/minute"}) as client:
        answers = [client.get("/readyz") for _ in range(4)]
        health = client.get("/healthz")
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert 1 <= int(answers[3].headers["retry-after"]) <= 61
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert answers[3].json()["detail"].startswith("this address has sent 3 requests within 60 s, as many as it may")
    assert (health.status_code, "ratelimit" in health.headers) == (200, False)


@SQLITE
def test_writes_have_a_lower_limit_and_count_in_both(database: Database) -> None:
    with served(database, {"TPLUS_RATE_LIMIT": "4/minute", "TPLUS_RATE_LIMIT_WRITES": "2/minute"}) as client:
        writes = [client.post("/readyz") for _ in range(3)]
        reads = [client.get("/readyz").status_code for _ in range(2)]
    assert [answer.status_code for answer in writes] == [405, 405, 429]
    assert "sent 2 writes within 60 s" in writes[2].json()["detail"]
    assert writes[0].headers["ratelimit-policy"] == '"writes";q=2;w=60'
    assert reads == [200, 429]


@SQLITE
def test_a_valid_key_has_a_limit_of_its_own_and_guesses_count_for_the_address(database: Database) -> None:
    now = process_now()
    with database.transaction() as connection:
        tokens = [create_key(connection, NewKey(name, frozenset({Scope.READ})), now)[1] for name in ("one", "two")]

    def get(client: TestClient, token: str) -> int:
        return client.get("/readyz", headers={"Authorization": f"Bearer {token}"}).status_code

    with served(database, {"TPLUS_RATE_LIMIT": "2/minute"}) as client:
        assert [get(client, tokens[0]) for _ in range(3)] == [200, 200, 429]
        assert [get(client, tokens[1]) for _ in range(3)] == [200, 200, 429]
        assert [get(client, f"guess{number}") for number in range(3)] == [200, 200, 429]
        assert client.get("/readyz").status_code == 429


@SQLITE
@pytest.mark.parametrize(("client", "last"), [("127.0.0.1", 200), ("::1", 200), ("203.0.113.9", 429)])
def test_without_a_setting_clients_of_this_machine_are_not_limited(database: Database, client: str, last: int) -> None:
    with served(database, {}, client) as opened:
        statuses = [opened.post("/readyz").status_code for _ in range(61)]
    assert statuses[:60] == [405] * 60
    assert statuses[60] == (405 if last == 200 else 429)


@SQLITE
def test_a_proxy_on_this_machine_that_is_not_trusted_is_limited_as_one_client(database: Database) -> None:
    with served(database, {}, "127.0.0.1") as client:
        statuses = [
            client.post("/readyz", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
            for number in range(61)
        ]
    assert statuses[60] == 429


@SQLITE
def test_the_last_untrusted_hop_counts_behind_a_trusted_proxy(database: Database) -> None:
    variables = {"TPLUS_RATE_LIMIT": "1/minute", "TPLUS_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8"}
    with served(database, variables, "127.0.0.1") as client:

        def get(forwarded: str) -> int:
            return client.get("/readyz", headers={"X-Forwarded-For": forwarded}).status_code

        assert get("198.51.100.1") == 200
        assert get("198.51.100.2") == 200
        assert get("6.6.6.6, 198.51.100.1, 10.1.2.3") == 429  # the first is what the client itself wrote
        assert get("2001:db8::1") == 200
        assert get("2001:db8::ffff") == 429  # one network


@SQLITE
def test_off_is_no_limit(database: Database) -> None:
    with served(database, {"TPLUS_RATE_LIMIT": "off", "TPLUS_RATE_LIMIT_WRITES": "off"}) as client:
        answers = [client.post("/readyz") for _ in range(70)]
    assert {answer.status_code for answer in answers} == {405}
    assert "ratelimit" not in answers[0].headers


@SQLITE
def test_while_redis_does_not_answer_requests_are_counted_here(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("redis")
    variables = {"TPLUS_RATE_LIMIT": "2/minute", "TPLUS_RATE_LIMIT_STORAGE": "redis://:very-secret@127.0.0.1:9/0"}
    with served(database, variables) as client:
        assert [client.get("/readyz").status_code for _ in range(3)] == [200, 200, 429]
    warnings = [record.getMessage() for record in caplog.records if "TPLUS_RATE_LIMIT_STORAGE" in record.getMessage()]
    assert len(warnings) == 1
    assert "very-secret" not in caplog.text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RATE_LIMIT", "many", "must be off, or requests and a time such as 600/minute"),
        ("RATE_LIMIT", "0/minute", "must be off, or requests"),
        ("RATE_LIMIT", "1/9999 days", "must be off, or requests"),
        ("RATE_LIMIT_STORAGE", "memcached://:secret@host", "must be memory, or the address of a Redis server"),
        ("TRUSTED_PROXIES", "proxy.example", "must be an address or a network such as 10.0.0.2"),
        ("ALLOWED_HOSTS", "api.example.com:443", "must be a host name without a port"),
        ("CORS_ORIGINS", "*", "must be an origin without a path"),
        ("CORS_ORIGINS", "https://a.example/path", "must be an origin without a path"),
        ("WORKERS", "0", "must be 1 or more"),
    ],
)
def test_a_bad_setting_is_one_sentence_without_a_secret(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected) as caught:
        load_settings({f"TPLUS_{name}": value})
    assert "secret" not in str(caught.value)


def test_the_application_starts_with_default_settings(tmp_path: Path) -> None:
    assert create_app(Settings(data_dir=tmp_path)).state.reader is not None
