"""The joint band, the raw quantiles and the measured coverage in a forecast answer."""

from datetime import date
from math import exp
from typing import Any

import pytest
from sqlalchemy import insert, update

from models.calibration import state as calibration
from service.api.forecasts.joint_band import START_FACTORS
from service.api.forecasts.track_record import LEVELS
from service.db.session import Database
from service.db.tables import calibration_states, model_versions
from tests.support.api.client import TestClient
from tests.support.api.ledger_factory import FRIDAY, LSTM, LSTM_ONE, MONDAY, THURSDAY, WALK


def put_state(database: Database, version: int, as_of: date, calendar: str = "XNYS", **state: Any) -> None:
    values = {"factors": [2.0, 1.5, 1.25], "held": [1.0, 1.0, 1.0], "days": 1, "scores": 1}
    measured = {"n": 70, "coverage": [0.52, 0.81, 0.94]}
    with database.transaction() as connection:
        connection.execute(
            insert(calibration_states).values(
                model_version_id=version, calendar=calendar, step=0, as_of=as_of,
                state={**values, "measured": measured, **state},
            )
        )  # fmt: skip


def joint(client: TestClient) -> Any:
    return client.get("/v1/forecasts/AAPL").json()["multi_step"]["joint"]


def test_start_factors_are_those_of_the_calibration() -> None:
    assert START_FACTORS == calibration.START_FACTORS
    assert tuple(round(100 * level) for level in calibration.LEVELS) == LEVELS


def test_a_band_without_a_state_uses_the_start_factors(client: TestClient) -> None:
    band = joint(client)
    assert band["n"] == 0
    assert [(level["level"], level["measured"]) for level in band["levels"]] == [(50, None), (80, None), (95, None)]
    assert [(step["step"], step["label"], step["target_session"]) for step in band["levels"][0]["steps"]] == [
        (1, "T", "2018-06-04"), (2, "T+1", "2018-06-05"), (3, "T+2", "2018-06-06"),
    ]  # fmt: skip
    # The median is 0.01, the 80 % interval -0.04 to 0.04: 0.01 - 1.32 * 0.05 and 0.01 + 1.32 * 0.03.
    first = band["levels"][1]["steps"][0]
    assert (first["lower_return"], first["upper_return"]) == pytest.approx((-0.056, 0.0496))
    assert (first["lower"], first["upper"]) == pytest.approx((100 * exp(-0.056), 100 * exp(0.0496)))


def test_the_test_span_gives_the_first_factors(client: TestClient, filled: Database) -> None:
    metrics = {"test": {"calibration": {"joint": {"factors": [3.0, 2.0, 1.0]}}}}
    with filled.transaction() as connection:
        connection.execute(update(model_versions).where(model_versions.c.id == LSTM).values(metrics=metrics))
    levels = joint(client)["levels"]
    assert levels[0]["steps"][0]["lower_return"] == pytest.approx(0.01 - 3 * 0.03)
    assert levels[2]["steps"][0]["lower_return"] == pytest.approx(-0.06)


def test_the_state_as_of_the_session_is_used(client: TestClient, filled: Database) -> None:
    put_state(filled, LSTM, THURSDAY, factors=[9.0, 9.0, 9.0])
    put_state(filled, LSTM, FRIDAY)
    put_state(filled, LSTM, MONDAY, factors=[9.0, 9.0, 9.0])
    put_state(filled, WALK, FRIDAY, factors=[9.0, 9.0, 9.0])
    put_state(filled, LSTM, FRIDAY, calendar="XTKS", factors=[9.0, 9.0, 9.0])
    band = joint(client)
    assert (band["n"], [level["measured"] for level in band["levels"]]) == (70, [0.52, 0.81, 0.94])
    lowest = [level["steps"][0]["lower_return"] for level in band["levels"]]
    assert lowest == pytest.approx([0.01 - 2 * 0.03, 0.01 - 1.5 * 0.05, 0.01 - 1.25 * 0.07])
    walk = client.get("/v1/forecasts/AAPL").json()["random_walk"]["joint"]
    assert walk["levels"][0]["steps"][0]["upper_return"] == pytest.approx(9 * 0.01)


def test_a_refit_uses_the_state_of_its_predecessor(client: TestClient, filled: Database) -> None:
    with filled.transaction() as connection:  # the same group, strategy and config
        connection.execute(
            update(model_versions).where(model_versions.c.id == WALK).values(config_hash=f"config-{LSTM}")
        )
    put_state(filled, WALK, FRIDAY)
    assert joint(client)["n"] == 70


def test_measured_coverage_of_a_band_is_null_under_sixty_sessions(client: TestClient, filled: Database) -> None:
    put_state(filled, LSTM, FRIDAY, measured={"n": 59, "coverage": [0.5, 0.8, 0.95]})
    band = joint(client)
    assert (band["n"], {level["measured"] for level in band["levels"]}) == (59, {None})


def test_one_step_has_no_band(client: TestClient, filled: Database) -> None:
    put_state(filled, LSTM_ONE, FRIDAY)
    answer = client.get("/v1/forecasts/AAPL").json()
    assert answer["one_step"]["joint"] is None
    assert [other["joint"] for other in answer["others"]] == [None] * len(answer["others"])
    assert answer["others"]


def test_a_step_has_raw_and_calibrated_quantiles(client: TestClient) -> None:
    step = client.get("/v1/forecasts/AAPL").json()["multi_step"]["steps"][1]
    assert (step["quantiles"]["q025"], step["raw"]["q025"]) == (-0.12, -0.06)
    assert (step["quantiles"]["q75"], step["raw"]["q75"]) == (0.04, 0.02)


def test_measured_coverage_is_null_under_sixty_sessions(client: TestClient) -> None:
    coverage = client.get("/v1/forecasts/AAPL").json()["one_step"]["coverage"]
    assert coverage == {
        "n": 30,
        "levels": [{"level": 50, "measured": None}, {"level": 80, "measured": None}, {"level": 95, "measured": None}],
    }
