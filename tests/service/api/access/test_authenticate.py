"""Looks at the database: shared, bounded, and apart for tokens that are not known."""

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from service.access.keys import NewKey, create_key
from service.api.access import authenticate
from service.api.access.authenticate import KEPT_TOKENS, LOOKUPS, UNKNOWN_LOOKUPS, Authenticator
from service.api.access.principal import Credential, CredentialKind, Principal
from service.api.common.dependencies import Reader
from service.db.session import Database
from service.errors import NotYet
from service.settings import Settings
from service.vocabulary import Scope

NOW = datetime(2026, 11, 27, tzinfo=UTC)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Slow(Authenticator):
    """An authenticator whose looks at the database can be held, and are counted."""

    def __init__(self, database: Database) -> None:
        self.seconds = 0.0
        super().__init__(Reader(Settings(), database), lambda: self.seconds)
        self.looks, self.now, self.most = 0, 0, 0
        self.free, self._count = threading.Event(), threading.Lock()
        self.free.set()

    def _read(self, credential: Credential) -> Principal | None:
        with self._count:
            self.looks, self.now = self.looks + 1, self.now + 1
            self.most = max(self.most, self.now)
        try:
            assert self.free.wait(20)
            return super()._read(credential)
        finally:
            with self._count:
                self.now -= 1


def wrong(number: int) -> Credential:
    return Credential(CredentialKind.KEY, f"tplus_{number:043d}")


def right(database: Database, name: str = "notebook") -> Credential:
    with database.transaction() as connection:
        token = create_key(connection, NewKey(name, frozenset({Scope.READ})), NOW)[1]
    return Credential(CredentialKind.KEY, token)


def test_many_requests_with_one_token_look_once(database: Database) -> None:
    slow, key = Slow(database), right(database)

    async def ask() -> list[Any]:
        return await asyncio.gather(*(slow.find(key) for _ in range(200)))

    assert {found.name for found in asyncio.run(ask())} == {"notebook"}
    assert slow.looks == 1
    slow.close()


def test_another_form_needs_no_look(database: Database) -> None:
    slow = Slow(database)
    for token in ("", "tplus_", "tplus_" + "x" * 42, "x" * 49, "tplus_" + "\x00" * 43, "tplus_" + "é" * 43, "a" * 9999):
        assert asyncio.run(slow.find(Credential(CredentialKind.KEY, token))) is None
    assert asyncio.run(slow.find(Credential(CredentialKind.PAGE_SESSION, "tplus_" + "x" * 43))) is None
    assert slow.looks == 0


def test_a_key_is_no_page_session_and_the_other_way_round(database: Database) -> None:
    slow, key = Slow(database), right(database)
    assert asyncio.run(slow.find(Credential(CredentialKind.PAGE_SESSION, key.token))) is None
    slow.close()


def test_wrong_tokens_have_few_threads_and_delay_no_known_key(database: Database) -> None:
    slow, key = Slow(database), right(database)

    async def attack() -> tuple[list[Any], int]:
        assert await slow.find(key) is not None
        slow.seconds = 1.0  # the answer is too old: the next request looks again
        slow.free.clear()
        tries = [asyncio.create_task(slow.find(wrong(n))) for n in range(400)]
        await asyncio.sleep(0.3)
        waiting = slow.now
        known = asyncio.create_task(slow.find(key))
        await asyncio.sleep(0.2)
        assert slow.now == waiting + 1  # it is looked up at once
        slow.free.set()
        assert await asyncio.wait_for(known, 10) is not None
        return await asyncio.gather(*tries, return_exceptions=True), waiting

    answers, waiting = asyncio.run(attack())
    assert waiting == UNKNOWN_LOOKUPS == 2
    assert slow.most <= LOOKUPS + UNKNOWN_LOOKUPS
    refused = [answer for answer in answers if answer is not None]
    assert len(refused) > 100
    assert all(isinstance(answer, NotYet) for answer in refused)
    slow.close()


def test_what_is_kept_is_bounded_and_wrong_tokens_displace_no_key(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEPT_TOKENS == 1000
    monkeypatch.setattr(authenticate, "KEPT_TOKENS", 20)
    slow, key = Slow(database), right(database)

    async def many() -> None:
        await slow.find(key)
        for number in range(50):
            assert await slow.find(wrong(number)) is None
        looks = slow.looks
        await slow.find(key)
        await slow.find(wrong(49))
        assert slow.looks == looks

    asyncio.run(many())
    assert (len(slow._found), len(slow._not_found), len(slow._reading)) == (1, 20, 0)
    slow.close()


def test_a_client_that_leaves_does_not_end_the_look_for_others(database: Database) -> None:
    slow, key = Slow(database), right(database)

    async def leave() -> Any:
        slow.free.clear()
        first = asyncio.create_task(slow.find(key))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(slow.find(key))
        await asyncio.sleep(0.05)
        first.cancel()
        slow.free.set()
        return await second

    assert asyncio.run(leave()).name == "notebook"
    slow.close()
