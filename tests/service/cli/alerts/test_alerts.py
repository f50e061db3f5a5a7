"""`tplus alerts` over a real database and a real receiver."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from benchmarks.reliability.alert_receiver import Receiver, running
from service.db.session import Database
from service.db.tables import alert_deliveries, audit
from tests.support.command import CommandLine


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    settings = {"CLOCK": "replay:2012-12-20T23:00:00Z", "SYMBOLS": "AAPL,IBM", "ALERT_LOOPBACK_HTTP": "true"}
    return CommandLine(tmp_path, settings)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running() as opened:
        yield opened


def add(line: CommandLine, url: str, *words: str) -> str:
    """Add a subscription and return its secret."""
    path = line.folder / "target"
    path.write_text(url + "\n")
    added = line.run("alerts", "add", "night shift", "--target-file", str(path), *words, "--json")
    assert added.status == 0, added.error
    return str(added.document["secret"])


def test_a_subscription_is_added_listed_tested_and_removed(line: CommandLine, receiver: Receiver) -> None:
    assert line.run("alerts", "list").out == "no subscription; `tplus alerts add NAME` makes one\n"
    secret = add(line, receiver.url("ok/hidden"), "--kind", "source_down", "--symbol", "aapl")
    assert secret.startswith("whsec_")
    listed = line.run("alerts", "list").out
    where = f"http://127.0.0.1:{receiver.port}/..."
    assert listed == f"    1  night shift: source_down of symbol AAPL to {where}  nothing sent yet\n"
    assert line.run("alerts", "test", "1").out == f"delivered to {where}\n"
    (request,) = receiver.requests
    assert request.events[0]["message"] == "a test of the subscription night shift"
    removed = line.run("alerts", "remove", "1")
    assert removed.out == "subscription 1 (night shift) is removed; its pending deliveries are dropped\n"
    assert line.run("alerts", "remove", "1").sentence == (
        "there is no alert subscription 1; list them with `tplus alerts list`"
    )
    database = Database(f"sqlite:///{line.folder / 'tplus-sample-replay.db'}")
    with database.reading() as connection:
        rows = connection.execute(select(audit).order_by(audit.c.id)).all()
    database.close()
    assert [row.action for row in rows] == ["alerts.add", "alerts.test", "alerts.remove"]
    assert secret not in str(rows)
    assert "hidden" not in str(rows)


def test_a_test_that_fails_says_why_without_the_url(line: CommandLine, receiver: Receiver) -> None:
    add(line, receiver.url("broken/hidden"))
    failed = line.run("alerts", "test", "1")
    assert failed.status == 1
    assert failed.sentence == (f"the test was not delivered to http://127.0.0.1:{receiver.port}/...: answered 500")


def test_dead_letters_are_sent_again(line: CommandLine, receiver: Receiver) -> None:
    add(line, receiver.url("ok"))
    assert line.run("alerts", "dead").out == "no dead letters\n"
    database = Database(f"sqlite:///{line.folder / 'tplus-sample-replay.db'}")
    with database.transaction() as connection:
        row = {
            "subscription_id": 1, "message_id": "msg_1", "kind": "test", "events": 1, "body": "{}", "state": "dead",
            "attempts": 10, "next_attempt_at": _now(connection), "token": 1, "created_at": _now(connection),
            "error": "answered 500",
        }  # fmt: skip
        connection.execute(alert_deliveries.insert().values(row))
    assert line.run("alerts", "dead").out == "    1  night shift  test, 1 events, 10 attempts: answered 500\n"
    assert line.run("alerts", "retry", "7").sentence.startswith("there is no dead letter 7")
    assert line.run("alerts", "retry", "--all").out == "1 deliveries are due again; the scheduler sends them\n"
    with database.transaction() as connection:
        connection.execute(update(alert_deliveries).values(state="delivered"))
    database.close()
    assert line.run("alerts", "retry").status == 2


def test_a_rotated_key_keeps_subscriptions_working(line: CommandLine, receiver: Receiver) -> None:
    add(line, receiver.url("ok"))
    assert line.run("alerts", "rotate-key").out.startswith("1 subscriptions are encrypted with a new key")
    key = line.folder / "alerts.key"
    key.write_text(key.read_text().splitlines()[0])
    assert line.run("alerts", "test", "1").status == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("a\nb",), "the name must have 1 to 100 characters, none of them a control character"),
        (("a", "--symbol", "AAPL", "--group", "equity"), "--symbol and --group exclude each other"),
        (("a", "--interval", "90"), "the interval 90 is not stored"),
        (("a", "--symbol", "ZZZZ"), "there is no symbol ZZZZ"),
        (("a", "--target-file", "/missing"), "the target cannot be read from /missing"),
    ],
)
def test_what_does_not_fit_is_one_sentence(line: CommandLine, words: tuple[str, ...], sentence: str) -> None:
    path = line.folder / "target"
    path.write_text("https://93.184.215.14/")
    options = () if "--target-file" in words else ("--target-file", str(path))
    refused = line.run("alerts", "add", *words, *options)
    assert refused.status != 0
    assert sentence in refused.sentence


def _now(connection: object) -> object:
    from service.clock import process_now

    return process_now()
