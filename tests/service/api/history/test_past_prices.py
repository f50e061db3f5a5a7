"""Prices of past forecasts: as issued, and on the closes of the score across dividends, splits and corrections."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import update

from service.api.common.dependencies import Reader
from service.api.history import routes
from service.api.history.build_history import COLUMNS
from service.api.history.queries import HistoryFilter
from service.db.session import Database
from service.db.tables import instruments
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import (
    FRIDAY,
    LSTM,
    MONDAY,
    THURSDAY,
    add_action,
    add_bars,
    add_score,
)


def past(client: TestClient, step: int, as_of: date = THURSDAY) -> dict[str, Any]:
    answer = client.get("/v1/forecasts/AAPL/history", params={"strategy": "multi_step", "step": step})
    assert answer.status_code == 200, answer.text
    [item] = [item for item in answer.json()["items"] if item["as_of"] == str(as_of)]
    found: dict[str, Any] = item
    return found


def bounds(item: dict[str, Any]) -> dict[int, tuple[float, float]]:
    return {part["level"]: (part["lower"], part["upper"]) for part in item["intervals"]}


def test_a_pending_forecast_has_the_prices_that_were_issued(client: TestClient) -> None:
    item = past(client, 1)
    # 99 x e^0.01, e^-0.02, e^0.02, e^-0.04, e^0.04, e^-0.06, e^0.06
    assert item["point"] == pytest.approx(99.994967)
    assert bounds(item)[50] == pytest.approx((97.039669, 100.999933))
    assert bounds(item)[80] == pytest.approx((95.118154, 103.040266))
    assert bounds(item)[95] == pytest.approx((93.234683, 105.121824))
    assert [part["lower_return"] for part in item["intervals"]] == [-0.02, -0.04, -0.06]
    assert item["outcome"]["actual_price"] is None
    issued = client.get("/v1/forecasts/AAPL", params={"as_of": str(THURSDAY)}).json()["multi_step"]["steps"][0]
    assert (item["point"], item["intervals"]) == (issued["point"], issued["intervals"])


def test_a_scored_forecast_has_the_close_that_followed(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1, actual=0.01005033585350145)  # ln(100 / 99)
    item = past(client, 1)
    assert (item["outcome"]["actual_price"], item["point"]) == (100.0, pytest.approx(99.994967))


def test_a_dividend_moves_the_bounds_with_the_close(client: TestClient, filled: Database) -> None:
    # Thursday closes at 99, Friday is ex 2.00, Monday closes at 100: ln(100 / (99 - 2)) = 0.0304592.
    with filled.transaction() as connection:
        add_action(connection, "AAPL", FRIDAY, "dividend", 2.0)
        add_bars(connection, "AAPL", {MONDAY: 100.0})
        add_score(connection, 1, LSTM, 2, actual=0.030459207484708574, inside_50=True)
    item = past(client, 2)
    assert item["outcome"]["actual_price"] == 100.0
    assert item["point"] == pytest.approx(98.959530)  # 97 x e^0.02
    assert bounds(item)[50] == pytest.approx((93.196576, 100.958645))  # 97 x e^-0.04, e^0.04
    pending = past(client, 3)
    assert pending["point"] == pytest.approx(100.015023)  # 99 x e^0.03 - 2, as it was issued


def test_a_split_keeps_the_forecast_on_its_own_basis(client: TestClient, filled: Database) -> None:
    # The split on Monday halves the stored closes; the forecast was made at 99, before it.
    with filled.transaction() as connection:
        add_action(connection, "AAPL", MONDAY, "split", 2.0)
        add_bars(connection, "AAPL", {MONDAY: 50.0})
        connection.execute(update(instruments).where(instruments.c.symbol == "AAPL").values(basis=1))
        add_score(connection, 1, LSTM, 2, actual=0.01005033585350145)
    item = past(client, 2)
    assert (item["basis"], item["last_close"]) == (0, 99.0)
    assert item["outcome"]["actual_price"] == 100.0
    assert item["point"] == pytest.approx(101.0)  # 99 x e^0.02


def test_a_corrected_close_is_the_one_of_the_score(client: TestClient, filled: Database) -> None:
    # Thursday's close was corrected from 99 to 98 after the forecast: ln(100 / 98) = 0.0202027.
    with filled.transaction() as connection:
        add_score(connection, 1, LSTM, 1, actual=0.020202707317519466, inside_50=False)
    item = past(client, 1)
    assert item["outcome"]["actual_price"] == 100.0
    assert bounds(item)[50] == pytest.approx((96.059470, 99.979732))  # 98 x e^-0.02, e^0.02: 100 is outside


def test_a_split_while_a_client_reads_a_table(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "CHUNK", 1)
    selected = HistoryFilter("AAPL", strategy="multi_step", step=2)
    chunks = routes._chunks(Reader(Settings(), filled), selected, None, 2)
    next(chunks)
    with filled.transaction() as connection:
        add_action(connection, "AAPL", MONDAY, "split", 2.0)
        add_bars(connection, "AAPL", {MONDAY: 50.0})
        connection.execute(update(instruments).where(instruments.c.symbol == "AAPL").values(basis=1))
        add_score(connection, 1, LSTM, 2, actual=0.01005033585350145)
    [row] = next(chunks)
    found = dict(zip([column.name for column in COLUMNS], row, strict=True))
    assert (found["as_of"], found["actual_price"], found["last_close"]) == (THURSDAY, 100.0, 99.0)
