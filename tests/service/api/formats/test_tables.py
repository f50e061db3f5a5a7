"""Forecasts, history and prices as tables: what pandas reads, limits, pages, tags."""

import io
import shutil
import urllib.request
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from service.api.formats import table
from service.db.change_counters import raise_changes
from service.db.session import Database
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import FRIDAY, LSTM, THURSDAY, add_bars, add_score
from tests.support.dashboard.server import serving

ROUTES = ("/v1/forecasts", "/v1/forecasts/AAPL", "/v1/forecasts/AAPL/history", "/v1/prices/AAPL")


def read_csv(client: TestClient, path: str, **params: Any) -> pd.DataFrame:
    answer = client.get(path, params={"format": "csv", **params})
    assert answer.status_code == 200, answer.text
    return pd.read_csv(io.BytesIO(answer.content))


def test_pandas_reads_the_address_itself(filled_file: Path, tmp_path: Path) -> None:
    shutil.copyfile(filled_file, tmp_path / "filled.db")
    with serving(tmp_path / "filled.db") as server:
        bars = pd.read_csv(f"{server.url}/v1/prices/aapl?format=csv", parse_dates=["session"])
        past = pd.read_parquet(f"{server.url}/v1/forecasts/AAPL/history?format=parquet")
        with urllib.request.urlopen(f"{server.url}/v1/forecasts?format=arrow", timeout=30) as answer:
            now = pa.ipc.open_stream(answer).read_all()
    assert bars[["symbol", "close", "adjusted_close"]].to_numpy().tolist() == [
        ["AAPL", 100.0, 100.0],
        ["AAPL", 99.0, 99.0],
    ]
    assert [str(day.date()) for day in bars["session"]] == ["2018-06-01", "2018-05-31"]
    assert (len(past), past["as_of"].iloc[0]) == (8, date(2018, 6, 1))
    assert set(now["symbol"].to_pylist()) == {"AAPL", "BTC-USD", "IBM"}


def test_forecasts_have_a_row_per_step(client: TestClient) -> None:
    frame = read_csv(client, "/v1/forecasts/AAPL")
    served = frame[frame["served"]]
    assert served[["strategy", "forecaster", "step", "target_session"]].to_numpy().tolist() == [
        ["multi_step", "lstm", 1, "2018-06-04"],
        ["multi_step", "lstm", 2, "2018-06-05"],
        ["multi_step", "lstm", 3, "2018-06-06"],
        ["one_step", "random_walk", 1, "2018-06-04"],
    ]
    assert len(frame) == 8  # and the random walk's three steps, and the challenger's one
    first = served.iloc[0]
    # 100 x e^0.01, e^-0.04 and e^0.04
    assert (first["point"], first["lower_80"], first["upper_80"]) == pytest.approx((101.005017, 96.078944, 104.081077))
    assert (first["coverage_80"], first["coverage_n"], first["issued_at"]) == (0.8, 100, "2018-06-01T21:40:00Z")
    assert set(read_csv(client, "/v1/forecasts", symbols="ibm,msft")["symbol"]) == {"IBM"}


@pytest.mark.parametrize("path", ROUTES)
def test_the_header_chooses_the_same_table_as_the_parameter(client: TestClient, path: str) -> None:
    named = client.get(path, params={"format": "csv"})
    accepted = client.get(path, headers={"Accept": "text/csv"})
    assert named.content == accepted.content
    assert accepted.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert accepted.headers["content-disposition"].startswith("attachment; filename=")
    parquet = client.get(path, headers={"Accept": "application/vnd.apache.parquet"})
    assert pa.parquet.read_table(io.BytesIO(parquet.content)).num_rows == len(pd.read_csv(io.BytesIO(named.content)))
    assert client.get(path, params={"format": "json"}, headers={"Accept": "text/csv"}).json() == client.get(path).json()


@pytest.mark.parametrize("path", ROUTES)
def test_each_format_has_its_own_tag(client: TestClient, path: str) -> None:
    by_header = [client.get(path, headers={"Accept": kind}) for kind in ("application/json", "text/csv")]
    assert [answer.headers["vary"] for answer in by_header] == ["Accept", "Accept"]
    json_tag, csv_tag = (answer.headers["etag"] for answer in by_header)
    assert json_tag != csv_tag
    held = client.get(path, headers={"Accept": "text/csv", "If-None-Match": csv_tag})
    assert (held.status_code, held.content, held.headers["vary"]) == (304, b"", "Accept")
    assert client.get(path, headers={"Accept": "text/csv", "If-None-Match": json_tag}).status_code == 200


@pytest.mark.parametrize("path", ROUTES)
def test_a_tag_ends_with_the_next_score_or_bar(client: TestClient, filled: Database, path: str) -> None:
    tag = client.get(path, params={"format": "csv"}).headers["etag"]
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1)
        raise_changes(connection, ["AAPL"])  # as the score job does
    assert client.get(path, params={"format": "csv"}, headers={"If-None-Match": tag}).status_code == 200


def test_an_unknown_format_and_an_error_are_problem_documents(client: TestClient) -> None:
    unknown = client.get("/v1/prices/AAPL", params={"format": "xlsx"})
    assert (unknown.status_code, unknown.json()["detail"]) == (
        422, "format must be one of json, csv, parquet, arrow; 'xlsx' was given",
    )  # fmt: skip
    missing = client.get("/v1/forecasts/MSFT", params={"format": "csv"})
    assert (missing.status_code, missing.headers["content-type"]) == (503, "application/problem+json")


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", [ROUTES[0], *ROUTES[2:]])
def test_limits(client: TestClient, path: str) -> None:
    long = client.get(path, params={"limit": 501})
    assert (long.status_code, long.json()["detail"]) == (
        422,
        "limit must be 500 or less for a JSON page; '501' was given",
    )
    assert client.get(path, params={"limit": 501, "format": "csv"}).status_code == 200
    assert client.get(path, params={"limit": 1_000_001, "format": "csv"}).status_code == 422


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/forecasts", 2), ("/v1/forecasts/AAPL/history", 3), ("/v1/prices/AAPL", 1)]
)
def test_a_cut_table_links_to_the_rest(client: TestClient, path: str, limit: int) -> None:
    whole = read_csv(client, path)
    parts, address = [], f"{path}?format=csv&limit={limit}"
    for _ in range(20):
        answer = client.get(address)
        parts.append(pd.read_csv(io.BytesIO(answer.content)))
        link = answer.headers.get("link")
        if link is None:
            break
        address = link.removeprefix("<").removesuffix('>; rel="next"')
    assert len(parts) > 1
    assert pd.concat(parts, ignore_index=True).equals(whole)


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 9])
def test_a_long_table_is_read_in_parts(client: TestClient, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = read_csv(client, "/v1/forecasts/AAPL/history")
    for module in ("service.api.history.routes", "service.api.prices.routes"):
        monkeypatch.setattr(f"{module}.CHUNK", rows)
    assert read_csv(client, "/v1/forecasts/AAPL/history").equals(whole)
    assert len(read_csv(client, "/v1/forecasts/AAPL/history", limit=5)) == 5
    assert len(read_csv(client, "/v1/prices/AAPL")) == 2


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_no_connection_is_held_while_a_client_reads(client: TestClient, filled: Database) -> None:
    days = [date(1990, 1, 1) + timedelta(days=n) for n in range(table.CHUNK + 10)]
    with filled.transaction() as connection:
        add_bars(connection, "IBM", dict.fromkeys(days, 50.0))
    before = filled.engine.pool.checkedout()  # type: ignore[attr-defined]
    with client.stream("GET", "/v1/prices/IBM", params={"format": "csv"}) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith('"symbol","session"')
        assert filled.engine.pool.checkedout() == before  # type: ignore[attr-defined]
        assert sum(1 for _ in lines) == table.CHUNK + 10
    assert client.get("/v1/prices/IBM", params={"limit": 1}).json()["items"][0]["session"] == str(days[-1])


def test_history_rows_have_prices_and_outcomes(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1, actual=0.0100503)  # ln(100 / 99)
        add_score(connection, 1, LSTM, 2, state="void", reason="=cmd|' /C calc'!A0", actual=None, pinball=None,
                  error=None, inside_50=None, inside_80=None, inside_95=None)  # fmt: skip
    frame = read_csv(client, "/v1/forecasts/AAPL/history", strategy="multi_step").set_index(["as_of", "step"])
    scored, void = frame.loc[(str(THURSDAY), 1)], frame.loc[(str(THURSDAY), 2)]
    assert (scored["state"], scored["actual_price"], scored["last_close"]) == ("scored", 100.0, 99.0)
    assert (void["state"], void["reason"]) == ("void", "'=cmd|' /C calc'!A0")
    assert pd.isna(frame.loc[(str(FRIDAY), 1)]["actual_price"])
