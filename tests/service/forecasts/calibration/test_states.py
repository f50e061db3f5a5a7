"""Calibration states: written with the scores, used by the next forecasts."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from models.baselines import random_walk_config
from models.calibration import CalibrationState, JointState, StepState, calibrate_batch
from models.config import Strategy
from models.training.train import TrainedArtifact
from service.db.tables import calibration_states, forecasts, model_versions
from service.db.tables.forecasts import QUANTILE_NAMES
from service.forecasts.calibration.states import read_states
from service.forecasts.ledger import publish
from tests.support.forecast_factory import (
    NOON,
    SHAPE,
    Desk,
    History,
    Said,
    draft_of,
    quantiles_of,
    random_closes,
    record_version,
    sessions_until,
    utc,
)

AS_OF, T, T1, T2 = date(2018, 5, 31), date(2018, 6, 1), date(2018, 6, 4), date(2018, 6, 5)
STATE = CalibrationState((StepState(width=(0.3, 0.2, 0.1), days=9),) * 3, JointState((1.5, 1.4, 1.3)))


@pytest.fixture
def published(desk: Desk) -> Desk:
    """Return a desk where AAA closed at 100 on as_of and the random walk forecast T, T+1, T+2."""
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    publish_forecasts(desk, Said("AAA", AS_OF, (T, T1, T2), 1))
    return desk


def publish_forecasts(desk: Desk, *given: Said, mode: str = "replay", calendar: str = "XNYS") -> None:
    with desk.database.transaction() as connection:
        publish(connection, draft_of(*given, mode=mode, calendar=calendar), NOON, NOON)


def score_evening(desk: Desk, day: date, sequence: int = 0, **closes: float) -> None:
    """Store the bars of a session and score it."""
    for symbol, close in closes.items():
        desk.put(symbol, {day: close})
    desk.move(utc(day.year, day.month, day.day, 21, 30))
    desk.score(day, sequence=sequence)


def stored(desk: Desk) -> dict[tuple[int, date, int], Any]:
    """Return (version, as_of, step) -> state."""
    return {(row.model_version_id, row.as_of, row.step): row.state for row in desk.rows(calibration_states)}


def states(desk: Desk, version: int, as_of: date) -> CalibrationState:
    with desk.database.reading() as connection:
        return read_states(connection, [version], "XNYS", as_of)[version]


def add_tested_walk(desk: Desk, state: CalibrationState) -> int:
    """Add a random walk whose training left a state."""
    metrics = {
        "pinball": 1.0, "random_walk_pinball": 1.0, "n": 1, "skill": 0.0, "coverage": {"50": [0.5]},
        "calibration": state.to_dict(),
    }  # fmt: skip
    walk = TrainedArtifact(
        random_walk_config(Strategy.MULTI_STEP), desk.context.settings.artifact_dir / "w", "s", "d",
        None, None, None, None, metrics, 0.0,
    )  # fmt: skip
    with desk.database.transaction() as connection:
        return record_version(connection, walk, "challenger")


def test_a_score_run_writes_the_states_as_of_its_session(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    found = stored(published)
    assert set(found) == {(1, T, step) for step in (0, 1, 2, 3)}
    first = found[1, T, 1]
    # One symbol inside every interval and above the median: a third of the rates, half of it a side.
    assert first["width"] == pytest.approx([-0.08 * 0.05 / 6, -0.06 * 0.2 / 6, -0.04 * 0.5 / 6], abs=1e-15)
    assert (first["centre"], first["days"]) == ([0.0, 0.0, 0.0], 1)
    assert first["median"] == pytest.approx(0.002 * 0.5 / 3, abs=1e-15)
    assert first["scores"] == found[1, T, 0]["scores"] == 1
    assert [found[1, T, step]["days"] for step in (0, 2, 3)] == [0, 0, 0]


def test_the_states_of_a_session_are_written_once(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    before = stored(published)
    published.score(T, sequence=1)
    assert stored(published) == before


def test_a_corrected_close_neither_changes_a_state_nor_counts_again(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    before = stored(published)
    published.correct("AAA", AS_OF, 98.0)
    score_evening(published, T1, AAA=95.0)
    after = stored(published)
    assert {key: after[key] for key in before} == before
    assert [after[1, T1, step]["days"] for step in (1, 2, 3)] == [1, 1, 0]
    assert after[1, T1, 1]["width"] == before[1, T, 1]["width"]


def test_a_state_continues_from_the_one_before(published: Desk) -> None:
    publish_forecasts(published, Said("AAA", T, (T1,), 1, last_close=101.0))
    score_evening(published, T1, AAA=101.0)  # T's bar is not there: as_of T cannot be scored, as_of AS_OF can
    score_evening(published, T2, AAA=130.0)
    found = stored(published)
    assert found[1, T1, 2]["days"] == found[1, T2, 2]["days"] == 1
    assert found[1, T2, 3]["days"] == 1
    assert found[1, T2, 3]["width"] == pytest.approx([0.08 * 0.95 / 6, 0.06 * 0.8 / 6, 0.04 * 0.5 / 6], abs=1e-15)


def test_a_late_bar_counts_once(published: Desk) -> None:
    score_evening(published, T1, AAA=101.0)
    assert [stored(published)[1, T1, step]["days"] for step in (1, 2)] == [0, 1]
    published.put("AAA", {T: 100.5})
    score_evening(published, T2, AAA=101.0)
    assert [stored(published)[1, T2, step]["days"] for step in (1, 2, 3)] == [1, 1, 1]


def test_a_refit_continues_with_the_state_of_its_predecessor(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    refit = add_tested_walk(published, STATE)
    assert states(published, refit, T) == states(published, 1, T)
    assert states(published, refit, T).steps[0].days == 1
    score_evening(
        published, T1, AAA=95.0
    )  # the predecessor's second step is scored: the state is stored with the refit
    assert {version for version, as_of, _ in stored(published) if as_of == T1} == {refit}
    assert states(published, 1, T1) == states(published, refit, T1)
    assert [step.days for step in states(published, refit, T1).steps] == [1, 1, 0]
    assert states(published, refit, T).steps[1].days == 0  # the state of that time is not changed


def test_before_the_first_score_the_state_of_the_test_span_counts(desk: Desk) -> None:
    walk, tested = desk.add_walk(Strategy.MULTI_STEP), add_tested_walk(desk, STATE)
    assert states(desk, tested, T) == STATE
    assert states(desk, walk, T) == CalibrationState.start(3)


def test_learning_begins_with_the_state_of_the_test_span(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    tested = add_tested_walk(desk, STATE)
    publish_forecasts(desk, Said("AAA", AS_OF, (T, T1, T2), tested))
    score_evening(desk, T, AAA=101.0)
    assert states(desk, tested, T).steps[0].days == 10
    assert states(desk, tested, T).steps[1] == STATE.steps[1]
    assert states(desk, tested, AS_OF) == STATE


def test_published_forecasts_keep_the_state_they_used(published: Desk) -> None:
    publish_forecasts(published, Said("AAA", T, (T1, T2), 1, last_close=101.0))
    score_evening(published, T, AAA=101.0)
    assert stored(published) == {}
    score_evening(published, T1, AAA=102.0)
    assert {as_of for _, as_of, _ in stored(published)} == {T1}
    assert states(published, 1, T) == CalibrationState.start(3)
    assert [step.days for step in states(published, 1, T1).steps] == [2, 1, 0]


def test_nothing_is_learned_from_backfills_and_other_calendars(published: Desk) -> None:
    published.add(History("7203.T", AS_OF, [1000.0], calendar="XTKS"))
    publish_forecasts(published, Said("7203.T", AS_OF, (T, T1, T2), 1), calendar="XTKS")
    publish_forecasts(
        published, Said("AAA", AS_OF, (T, T1, T2), published.add_walk(Strategy.ONE_STEP), "one_step"), mode="backfill"
    )
    published.put("7203.T", {T: 1300.0})
    score_evening(published, T, AAA=101.0)
    assert {key[0] for key in stored(published)} == {1}
    assert states(published, 1, T).steps[0].days == 1
    published.score(T, calendar="XTKS")
    with published.database.reading() as connection:
        tokyo = read_states(connection, [1], "XTKS", T)[1]
    assert tokyo.steps[0].width[0] > 0 > states(published, 1, T).steps[0].width[0]


def test_of_two_revisions_the_last_one_counts(published: Desk) -> None:
    publish_forecasts(
        published, Said("AAA", AS_OF, (T, T1, T2), 1, revision=2, quantiles=tuple(value / 100 for value in SHAPE))
    )
    score_evening(published, T, AAA=101.0)
    found = states(published, 1, T).steps[0]
    assert found.days == 1
    assert found.width[0] == pytest.approx(0.08 * 0.95 / 6, abs=1e-15)  # outside the narrow revision


def test_the_joint_band_learns_when_a_path_ends(published: Desk) -> None:
    score_evening(published, T, AAA=101.0)
    score_evening(published, T1, AAA=95.0)
    assert states(published, 1, T1).joint == JointState()
    score_evening(published, T2, AAA=107.0)
    joint = states(published, 1, T2).joint
    # T+2 rose 0.0677 against half widths 0.02, 0.04, 0.06: a ratio of 3.4, 1.7, 1.13, so only 95 % held (1.24).
    assert (joint.held, joint.days) == ((0.0, 0.0, 1.0), 1)
    expected = np.log([1.6, 1.32, 1.24]) + 0.05 / 3 * np.array([0.5, 0.8, -0.05])
    assert np.log(joint.factors) == pytest.approx(expected, abs=1e-13)
    row = stored(published)[1, T2, 0]
    assert row["measured"] == {"n": 1, "coverage": [0.0, 0.0, 1.0]}
    assert stored(published)[1, T1, 0]["measured"] == {"n": 0, "coverage": []}


def test_every_stored_forecast_is_its_state_applied_to_its_raw_quantiles(desk: Desk) -> None:
    """Forecast and score twelve sessions, then calibrate the raw quantiles again."""
    days = sessions_until(date(2018, 6, 29), 140)
    closes = {name: random_closes(140, seed) for seed, name in enumerate(("AAA", "BBB"))}
    for name, path in closes.items():
        desk.add(History(name, days[-13], path[:-12]))
    for place in range(-13, 0):
        day = days[place]
        if place > -13:
            for name, path in closes.items():
                desk.put(name, {day: path[place]})
        desk.move(utc(day.year, day.month, day.day, 21, 30))
        desk.score(day)
        desk.forecast(day)
    rows = desk.rows(forecasts)
    horizons = {row.id: row.horizon for row in desk.rows(model_versions)}
    assert len(rows) == 13 * 2 * 4
    learned = 0
    for row in rows:
        raw = np.array([getattr(row, f"raw_{name}") for name in QUANTILE_NAMES])
        state = states(desk, row.model_version_id, row.as_of)
        assert len(state.steps) == horizons[row.model_version_id]
        at_step = np.tile(raw, (1, len(state.steps), 1))
        again = calibrate_batch(state.steps, at_step, np.array([row.sigma]))[0, row.step - 1]
        assert quantiles_of(row) == pytest.approx(tuple(again), abs=1e-15)
        learned += quantiles_of(row) != tuple(raw)
    # The first as_of has no state; step s has one from session s on: 12 + 12 + 11 + 10 of each symbol.
    assert learned == 2 * (12 + 12 + 11 + 10)
    assert states(desk, rows[-1].model_version_id, days[-1]).steps[0].days == 12
