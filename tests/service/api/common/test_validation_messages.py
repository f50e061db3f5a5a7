"""Messages about parameters are the API's own: what it must be, the limit, and what was given."""

from typing import Any

import pytest
from pydantic_core import PydanticKnownError
from pydantic_core._pydantic_core import list_all_errors

from service.api.common.validation_messages import shown, validation_message
from tests.support.api.client import TestClient


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "parameter", "value", "sentence"),
    [
        ("/v1/forecasts/AAPL", "as_of", "2018-13-01", "as_of must be a date, YYYY-MM-DD; '2018-13-01' was given"),
        ("/v1/forecasts/AAPL", "as_of", "tomorrow", "as_of must be a date, YYYY-MM-DD; 'tomorrow' was given"),
        ("/v1/forecasts/AAPL", "known_at", "2018-06-01T21:40:00",
         "known_at must be an instant with its zone, such as 2018-06-01T21:40:00Z; '2018-06-01T21:40:00' was given"),
        ("/v1/symbols", "limit", "0", "limit must be 1 or more; '0' was given"),
        ("/v1/symbols", "limit", "501", "limit must be 500 or less; '501' was given"),
        ("/v1/symbols", "limit", "ten", "limit must be a whole number; 'ten' was given"),
        ("/v1/symbols", "limit", "9" * 400, "limit must be 500 or less; '" + "9" * 60 + "…' was given"),
        ("/v1/symbols", "active", "perhaps", "active must be true or false; 'perhaps' was given"),
        ("/v1/symbols", "group", "a b", "group must be a name of at most 40 letters, digits and _/.=^- such as equity "
         "or XNYS; 'a b' was given"),
        ("/v1/runs", "job", "pull\0", "job must be one of pull, score, forecast, train; 'pull\\x00' was given"),
        ("/v1/runs", "cursor", "A" * 401, "cursor must have at most 400 characters; '" + "A" * 60 + "…' was given"),
        ("/v1/runs", "cursor", "!", "cursor must be `next_cursor` of the previous page, or be omitted; '!' was given"),
        ("/v1/models/x", "id", None, "id must be a whole number; 'x' was given"),
        ("/v1/prices/-A", "symbol", None, "symbol must be a symbol of at most 40 letters, digits and .=^- such as "
         "AAPL, 7203.T or BTC-USD; '-A' was given"),
    ],
)  # fmt: skip
def test_a_message_names_the_parameter_the_limit_and_what_was_given(
    client: TestClient, path: str, parameter: str, value: str | None, sentence: str
) -> None:
    answer = client.get(path, params={} if value is None else {parameter: value})
    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)
    assert answer.json()["errors"][0]["parameter"] == parameter


def context_of(error: Any) -> dict[str, Any]:
    return {**(error["example_context"] or {}), "expected": "'a', 'b' or 'c'"}


@pytest.mark.parametrize("error", list_all_errors(), ids=lambda error: error["type"])
def test_no_error_is_told_in_the_words_of_the_library(error: Any) -> None:
    context = context_of(error)
    own = validation_message({"type": error["type"], "ctx": context, "input": "given"})
    if error["type"] in ("value_error", "assertion_error"):
        return  # raised by a check of the service, with its own sentence
    library = PydanticKnownError(error["type"], error["example_context"]).message()
    assert library not in own
    assert not any(word in own for word in ("Input should", "valid string", "parsable", "should be", "Field required"))
    assert own.startswith(("must ", "is ", "has "))


def test_a_long_or_hostile_value_is_cut_and_escaped() -> None:
    assert shown("x" * 61) == "'" + "x" * 60 + "…'"
    assert shown("a\nb\x1b[31m\u202e") == "'a\\nb\\x1b[31m\\u202e'"
    assert shown(7) == "'7'"
