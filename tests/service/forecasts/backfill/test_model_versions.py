"""Versions of a past session: those that may forecast it, the one served, the substitute random walk."""

import pytest
from sqlalchemy import insert

from models.baselines import RandomWalk
from models.calibration import StepState
from models.forecasting.network_forecaster import load_forecaster
from service.db.tables import calibration_states, forecasts, model_decisions, model_versions
from service.training.registry.versions import serving_versions
from tests.support.backfill_factory import (
    DAYS,
    LAST,
    add_network_of,
    add_walk_of,
    decide_on,
    fill,
    fill_desk,
    forecasters,
    served_by,
)
from tests.support.forecast_factory import Desk, History, random_closes, raw_quantiles_of, utc

WEDNESDAY, THURSDAY, FRIDAY, MONDAY, TUESDAY = DAYS[:5]
FINAL = "2018-05-31T21:30"
"""Thursday's final instant."""


def substitutes(desk: Desk) -> dict[str, int]:
    return {row.strategy: row.id for row in desk.rows(model_versions, for_backfill=True)}


def test_a_version_whose_data_end_with_as_of_does_not_forecast_it(desk: Desk) -> None:
    fill_desk(desk)
    add_walk_of(desk, None, "2018-05-01T00:00", "challenger")
    network = add_network_of(desk, FINAL, FINAL)
    fill(desk, WEDNESDAY, FRIDAY)
    assert network not in forecasters(desk, WEDNESDAY) | forecasters(desk, THURSDAY)
    assert network in forecasters(desk, FRIDAY)
    assert served_by(desk)[FRIDAY] == (network, f"champion since {FINAL}")


def test_a_version_whose_data_end_with_as_of_is_not_used_even_if_decided_on_earlier(desk: Desk) -> None:
    fill_desk(desk)
    network = add_network_of(desk, FINAL, "2018-05-01T00:00")
    fill(desk, THURSDAY, FRIDAY)
    assert {day: version for day, (version, _) in served_by(desk).items()} == {
        THURSDAY: substitutes(desk)["multi_step"], FRIDAY: network
    }  # fmt: skip
    assert network not in forecasters(desk, THURSDAY)


def test_a_version_whose_data_end_a_second_earlier_is_used(desk: Desk) -> None:
    fill_desk(desk)
    network = add_network_of(desk, "2018-05-31T21:29:59", FINAL)
    fill(desk, WEDNESDAY, THURSDAY)
    assert network not in forecasters(desk, WEDNESDAY)
    assert served_by(desk)[THURSDAY][0] == network


def test_a_version_promoted_a_second_after_as_of_does_not_serve_it(desk: Desk) -> None:
    fill_desk(desk)
    early = add_network_of(desk, "2018-03-01T00:00", "2018-03-01T00:00")
    late = add_network_of(desk, "2018-03-01T00:00", "2018-05-31T21:30:01", "challenger", seed=2)
    decide_on(desk, early, "2018-05-31T21:30:01", "retired")
    decide_on(desk, late, "2018-05-31T21:30:01", "champion")
    fill(desk, THURSDAY, FRIDAY)
    assert {day: version for day, (version, _) in served_by(desk).items()} == {THURSDAY: early, FRIDAY: late}
    assert late not in forecasters(desk, THURSDAY)
    assert early not in forecasters(desk, FRIDAY)


def test_a_network_with_an_unknown_end_of_data_is_never_used(desk: Desk) -> None:
    fill_desk(desk)
    walk = add_walk_of(desk, None, "2018-05-01T00:00", "challenger")
    network = add_network_of(desk, None, "2018-05-01T00:00")
    fill(desk, THURSDAY, THURSDAY)
    assert network not in forecasters(desk, THURSDAY)
    assert served_by(desk)[THURSDAY] == (
        walk, "the random walk serves: no champion of that time has data that end before this session"
    )  # fmt: skip


def test_after_a_training_at_the_same_instant_the_earlier_version_serves(desk: Desk) -> None:
    """Under replay a training of Thursday's close is decided at that close.

    Its promotion counts from Friday on.
    """
    fill_desk(desk)
    old_walk = add_walk_of(desk, "2018-05-24T21:30", "2018-05-24T21:30", "challenger")
    old = add_network_of(desk, "2018-05-24T21:30", "2018-05-24T21:30")
    new_walk = add_walk_of(desk, FINAL, FINAL, "challenger", wide=1.1)
    decide_on(desk, old_walk, FINAL, "retired")
    decide_on(desk, old, FINAL, "retired")
    new = add_network_of(desk, FINAL, FINAL, seed=2)
    fill(desk, THURSDAY, FRIDAY)
    assert (forecasters(desk, THURSDAY), served_by(desk)[THURSDAY][0]) == ({old_walk, old}, old)
    assert (forecasters(desk, FRIDAY), served_by(desk)[FRIDAY][0]) == ({new_walk, new}, new)


def test_the_champion_of_that_time_serves_even_if_another_one_does_now(desk: Desk) -> None:
    fill_desk(desk)
    walk = add_walk_of(desk, None, "2018-05-01T00:00")
    network = add_network_of(desk, "2018-05-01T00:00", "2018-06-01T12:00", "challenger")
    decide_on(desk, walk, "2018-06-04T12:00", "challenger")
    decide_on(desk, network, "2018-06-04T12:00", "champion")
    decide_on(desk, network, "2018-06-05T12:00", "retired")
    decide_on(desk, walk, "2018-06-05T12:00", "champion")
    fill(desk, THURSDAY, TUESDAY)
    assert {day: version for day, (version, _) in served_by(desk).items()} == {
        THURSDAY: walk, FRIDAY: walk, MONDAY: network, TUESDAY: walk
    }  # fmt: skip
    assert served_by(desk)[MONDAY][1] == "champion since 2018-06-04T12:00"
    stored = [forecasters(desk, day) for day in (THURSDAY, FRIDAY, MONDAY, TUESDAY)]
    assert stored == [{walk}, {walk, network}, {walk, network}, {walk}]


def test_without_a_version_one_random_walk_is_fitted_for_the_whole_range(desk: Desk) -> None:
    fill_desk(desk)
    late = add_network_of(desk, "2018-06-09T00:00", "2018-06-09T00:00")
    fill(desk, THURSDAY, MONDAY)
    walks = substitutes(desk)
    assert served_by(desk) == {
        day: (
            walks["multi_step"],
            "the random walk serves, fitted for this backfill up to 2018-05-30T21:30:00Z: "
            "no version's data end before this session",
        )
        for day in (THURSDAY, FRIDAY, MONDAY)
    }
    assert {row.model_version_id for row in desk.rows(forecasts)} == set(walks.values())
    rows = desk.rows(model_versions, for_backfill=True)
    assert [(row.strategy, row.status, row.trained_at, row.data_until) for row in rows] == [
        ("one_step", "retired", utc(2018, 5, 30, 21, 30), utc(2018, 5, 30, 21, 30)),
        ("multi_step", "retired", utc(2018, 5, 30, 21, 30), utc(2018, 5, 30, 21, 30)),
    ]
    assert [row.status for row in desk.rows(model_decisions) if row.model_version_id != late] == ["retired", "retired"]
    walk = load_forecaster(desk.context.settings.artifact_dir / rows[0].artifact, rows[0].sha256)
    assert isinstance(walk, RandomWalk)
    # 323 closes up to Wednesday: a residual needs 80 bars up to its session, so 243 sessions have their target.
    assert walk.residuals == (243,)


def test_the_substitute_random_walk_never_serves_on_time(desk: Desk) -> None:
    fill_desk(desk)
    fill(desk, THURSDAY, FRIDAY)
    with desk.database.reading() as connection:
        assert serving_versions(connection, "equity") == ()


def test_a_random_walk_without_its_artifact_is_substituted(desk: Desk) -> None:
    fill_desk(desk)
    lost = desk.add_walk(next(iter(desk.context.configs("equity"))), "champion")
    fill(desk, THURSDAY, THURSDAY)
    assert lost not in forecasters(desk, THURSDAY, "one_step")
    assert served_by(desk, "one_step")[THURSDAY][0] == substitutes(desk)["one_step"]
    assert len([text for text in desk.reporter.notices if f"model version {lost} cannot be used" in text]) == 1


def test_an_earlier_random_walk_forecasts_with_its_own_quantiles(desk: Desk) -> None:
    fill_desk(desk)
    add_walk_of(desk, None, "2018-05-01T00:00", wide=2.0)
    fill(desk, THURSDAY, THURSDAY)
    first = desk.rows(forecasts, strategy="multi_step", step=1)[0]
    assert [quantile / first.sigma for quantile in raw_quantiles_of(first)] == pytest.approx(
        [-3.92, -2.56, -1.34, 0.0, 1.34, 2.56, 3.92]
    )


def test_a_backfill_uses_the_calibration_state_of_that_time(desk: Desk) -> None:
    fill_desk(desk)
    walk = add_walk_of(desk, None, "2018-05-01T00:00")
    later = StepState(median=0.25).to_dict() | {"scores": 0}
    rows = [
        {"model_version_id": walk, "calendar": "XNYS", "as_of": FRIDAY, "step": step, "state": later}
        for step in (1, 2, 3)
    ]  # fmt: skip
    with desk.database.transaction() as connection:
        connection.execute(insert(calibration_states), rows)
    fill(desk, THURSDAY, MONDAY)
    moved = {
        row.as_of: (row.q50 - row.raw_q50) / row.sigma for row in desk.rows(forecasts, strategy="multi_step", step=1)
    }
    assert moved == pytest.approx({THURSDAY: 0.0, FRIDAY: 0.25, MONDAY: 0.25})


def test_a_backfill_equals_the_forecast_on_time(desk: Desk) -> None:
    """Forecast two equal symbols with one network, one on time and one in a backfill."""
    fill_desk(desk, "AAA")
    network = add_network_of(desk, "2018-05-01T00:00", "2018-05-01T00:00")
    desk.move(utc(2018, 5, 31, 22))
    desk.forecast(THURSDAY)
    desk.move(utc(2018, 6, 9, 12))
    desk.add(History("TWIN", LAST, random_closes(330, 1)))
    fill(desk, THURSDAY, THURSDAY)
    raw = {
        (row.edition, row.symbol): raw_quantiles_of(row)
        for row in desk.rows(forecasts, model_version_id=network, step=3)
    }
    assert set(raw) == {(1, "AAA"), (2, "TWIN")}
    assert raw[1, "AAA"] == raw[2, "TWIN"]
    assert served_by(desk)[THURSDAY] == (network, "champion since 2018-05-01T00:00")
