"""Why a symbol has no forecast, by the real pull and forecast jobs: file faults, delistings, halts, and what waits."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update

from service.app import create_app
from service.db.session import Database
from service.db.tables import instruments
from service.prices.sources.base import Malformed, NoData, Transient
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import add_instrument, add_run, at, move_clock
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import ServiceOptions, make_service

FIRST, LAST = date(2022, 6, 1), date(2024, 3, 28)
SHORT_HALT = frozenset(date(2024, 3, 20) + timedelta(days=n) for n in range(20))
FAULT = "YF3: prices/YF3.csv line 2: 'AAPL' is not a date; write dates as 2024-03-22"


@pytest.fixture(scope="module")
def asked(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client on Friday evening, 2024-03-22, after the pull and the forecast run of that day."""
    folder = tmp_path_factory.mktemp("no-forecast")
    (folder / "service.db").write_bytes(migrated_file.read_bytes())
    database = Database(f"sqlite:///{folder / 'service.db'}")
    walks = [
        Walk("GOOD", FIRST, LAST, seed=1),
        Walk("GONE", FIRST, date(2023, 9, 29), seed=2),
        Walk("HALT", FIRST, LAST, seed=3, holes=SHORT_HALT),
        Walk("LATE", FIRST, LAST, seed=4, holes=frozenset({date(2024, 3, 22)})),
        Walk("NEWCO", date(2024, 2, 1), LAST, seed=5),
    ]
    source = RecordedWalks(walks)
    source.errors |= {
        "YF3": Malformed(FAULT),
        "EMPTY": NoData("EMPTY: Yahoo has no bars in the window (possibly delisted; no timezone found)"),
        "SLOW": Transient("SLOW: the vendor timed out after 10 s"),
    }
    symbols = (*(walk.symbol for walk in walks), *source.errors, "NOSUCH")
    # On 2024-03-22 at 21:30Z New York's bars are final; on-time forecasts are possible until Monday's opening.
    options = ServiceOptions("2024-03-22T22:00:00Z", symbols, {"max_attempts": 1})
    service = make_service(database, folder, source, options)
    scheduler = service.scheduler()
    service.work(scheduler)
    service.machine.advance(3600)
    service.work(scheduler)
    scheduler.close()
    with TestClient(create_app(service.context.settings, database)) as client:
        yield client
    database.close()


def refused(client: TestClient, symbol: str) -> tuple[int, str]:
    answer = client.get(f"/v1/forecasts/{symbol}")
    body: dict[str, Any] = answer.json()
    return answer.status_code, body["detail"]


def test_the_others_are_forecast(asked: TestClient) -> None:
    assert asked.get("/v1/forecasts/GOOD").json()["as_of"] == "2024-03-22"


def test_a_delisted_symbol_says_since_when_there_is_no_bar(asked: TestClient) -> None:
    # 2023-10-02 to 2024-03-22 are 120 sessions of New York.
    status, sentence = refused(asked, "GONE")
    assert status == 404
    assert sentence.startswith(
        "there is no forecast of GONE: there is no bar since 2023-09-29 (120 sessions of XNYS); "
    )
    assert "trading is halted, or it is delisted" in sentence
    assert " yet" not in sentence


def test_a_fault_of_a_file_is_named(asked: TestClient) -> None:
    assert refused(asked, "YF3") == (404, f"there is no forecast of YF3: {FAULT}")


def test_what_the_vendor_says_is_passed_on(asked: TestClient) -> None:
    status, sentence = refused(asked, "EMPTY")
    assert (status, " yet" in sentence) == (404, False)
    assert "Yahoo has no bars in the window (possibly delisted; no timezone found)" in sentence
    assert refused(asked, "NOSUCH")[0] == 404
    assert "no such symbol" in refused(asked, "NOSUCH")[1]


def test_a_halt_says_since_when(asked: TestClient) -> None:
    status, sentence = refused(asked, "HALT")  # no bar on Wednesday, Thursday and Friday
    assert status == 503
    assert sentence == (
        "there is no forecast of HALT: there is no bar since 2024-03-19 (3 sessions of XNYS); trading may be halted"
    )


@pytest.mark.parametrize(
    ("symbol", "part"),
    [
        ("LATE", "there is no forecast of LATE yet: no bar of 2024-03-22"),
        ("SLOW", "there is no forecast of SLOW yet: SLOW: the vendor timed out after 10 s; the next pull tries again"),
        ("NEWCO", "there is no forecast of NEWCO yet: "),
    ],
)
def test_what_waiting_brings_is_said_to_be_missing_yet(asked: TestClient, symbol: str, part: str) -> None:
    status, sentence = refused(asked, symbol)
    assert status == 503
    assert part in sentence


def test_a_batch_has_the_same_reasons(asked: TestClient) -> None:
    page = asked.get("/v1/forecasts", params={"symbols": "GOOD,GONE,YF3,LATE"}).json()
    assert [item["symbol"] for item in page["items"]] == ["GOOD"]
    reasons = {item["symbol"]: (item["status"], item["reason"]) for item in page["missing"]}
    assert reasons == {symbol: refused(asked, symbol) for symbol in ("GONE", "LATE", "YF3")}


def test_the_newest_instant_is_the_record(asked: TestClient) -> None:
    now = datetime.fromisoformat(asked.get("/v1/status").json()["now"])
    assert now >= datetime(2024, 3, 22, 22, tzinfo=UTC)


def test_sessions_that_no_pull_has_asked_for_are_not_missing(client: TestClient, filled: Database) -> None:
    # MSFT has Friday's bar, and Friday's pull is the newest: two weeks later the scheduler has still not run.
    move_clock(filled, at(date(2018, 6, 15), 22))
    status, sentence = refused(client, "MSFT")
    expected = "there is no forecast of MSFT yet: MSFT has 41 of the 60 bars the random walk needs"
    assert (status, sentence) == (503, expected)


@pytest.mark.parametrize("state", ["ok", "failing"])
@pytest.mark.parametrize("outcome", ["deferred", "transient"])
def test_a_source_that_does_not_answer_is_no_halt(
    client: TestClient, filled: Database, state: str, outcome: str
) -> None:
    why = "rate limited by the source; not tried in this pull"
    with filled.transaction() as connection:
        row = update(instruments).where(instruments.c.symbol == "MSFT")
        connection.execute(row.values(state=state, last_session=date(2018, 5, 21)))  # 9 sessions before Friday
        add_run(connection, 4, "pull", {"MSFT": (outcome, why)})
    expected = f"there is no forecast of MSFT yet: {why}; the next pull tries again"
    assert refused(client, "MSFT") == (503, expected)


def test_a_batch_without_forecasts_takes_as_many_queries_as_one_symbol(client: TestClient, filled: Database) -> None:
    names = [f"NEW{number}" for number in range(30)]
    with filled.transaction() as connection:
        for name in names:
            add_instrument(connection, name, last_session=date(2018, 5, 21))
        add_run(connection, 4, "pull", {name: ("unchanged", None) for name in names})
    statements: list[str] = []
    event.listen(
        filled.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_more: statements.append(statement)
    )
    assert refused(client, "NEW0")[0] == 404
    one = len(statements)
    statements.clear()
    page = client.get("/v1/forecasts", params={"symbols": ",".join(names)}).json()
    assert [item["status"] for item in page["missing"]] == [404] * 30
    assert len(statements) <= one
