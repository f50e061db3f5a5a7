"""Log lines: JSON, one per event, secrets masked wherever they come from."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from service.log_config import configure_logs, mask_secrets, write_info


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Return the stream of configured logs; the logs of other tests are restored."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    target = io.StringIO()
    configure_logs("info", target)
    yield target
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://tplus:p%40ss@db:5432/tplus is down", "postgresql://tplus:***@db:5432/tplus is down"),
        (
            "postgresql+psycopg://u:pw@h/d and redis://:secret@r:1",
            "postgresql+psycopg://u:***@h/d and redis://:***@r:1",
        ),
        ("postgresql://u:a/b@h/d is down", "postgresql://u:***@h/d is down"),  # audit: planted
        ("postgresql://u@h/d?sslmode=require&password=pw1&x=2", "postgresql://u@h/d?sslmode=require&password=***&x=2"),
        ("host=db password='a b' user=u sslpassword=x", "host=db password=*** user=u sslpassword=***"),
        ("TPLUS_DATABASE_PASSWORD_FILE=/run/x password_file=a", "TPLUS_DATABASE_PASSWORD_FILE=/run/x password_file=a"),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer ***"),
        ("authorization: basic dXNlcjpwYXNz", "authorization: basic ***"),
        ("the key tplus_abcdefghijklmnopqrstuvwxyz0123456789ABCDEF- is", "the key tplus_*** is"),  # audit: planted
        ("tplus_http_request_duration_seconds_bucket", "tplus_http_request_duration_seconds_bucket"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"),  # audit: planted
        (
            "http://127.0.0.1:8000/v1 and tplus_runs, https://a@b/",
            "http://127.0.0.1:8000/v1 and tplus_runs, https://a@b/",
        ),
        ("postgresql://tplus@db/tplus", "postgresql://tplus@db/tplus"),
    ],
)
def test_secrets_are_masked_and_nothing_else(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


def test_a_secret_is_masked_in_events_values_and_traces(stream: io.StringIO) -> None:
    url = "postgresql://tplus:hunter2@db/tplus"
    structlog.get_logger("a").info(f"event {url}", value=url)
    try:
        raise ValueError(url)
    except ValueError:
        structlog.get_logger("a").exception("failed")
        logging.getLogger("b").exception("failed %s", url)
    assert len(lines(stream)) == 3
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("postgresql://tplus:***@db/tplus") == 5


def test_what_is_bound_is_in_lines_of_both_libraries(stream: io.StringIO) -> None:
    with bound_contextvars(request_id="r-1"):
        structlog.get_logger("a").info("one")
        logging.getLogger("b").warning("two")
    structlog.get_logger("a").info("three")
    assert [line.get("request_id") for line in lines(stream)] == ["r-1", "r-1", None]


def test_a_line_written_at_once_is_that_of_the_long_way(stream: io.StringIO) -> None:
    configure_logs("info", stream)  # again: pytest has added handlers
    fields = {"client": "192.0.2.1", "key": "tplus_" + "aB-_9" * 8 + "xyz", "seconds": 0.25}
    assert write_info({**fields, "event": "request"})
    structlog.get_logger("a").info("request", **fields)
    at_once, long_way = lines(stream)
    assert at_once.pop("timestamp") <= long_way.pop("timestamp")
    assert at_once == long_way == {**fields, "event": "request", "key": "tplus_***", "level": "info"}


def test_a_closed_stream_fails_no_caller(stream: io.StringIO) -> None:
    configure_logs("info", stream)  # again: pytest has added handlers
    stream.close()
    assert not write_info({"event": "request"})
