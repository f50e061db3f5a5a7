"""Messages about parameters are the API's own: what it must be, the limit, and what was given."""

import pytest

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
        ("/v1/runs", "job", "pull\0",
         "job must be one of pull, score, forecast, train, backfill; 'pull\\x00' was given"),
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
