"""Calibration in the service: states written with the scores, read by what is forecast next."""

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
def said(desk: Desk) -> Desk:
    """AAA closed at 100 on as_of; the random walk said something of T, T+1, T+2."""
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    desk.add_walk(Strategy.MULTI_STEP)
    say(desk, Said("AAA", AS_OF, (T, T1, T2), 1))
    return desk


def say(desk: Desk, *what: Said, mode: str = "replay", calendar: str = "XNYS") -> None:
    with desk.database.transaction() as connection:
        publish(connection, draft_of(*what, mode=mode, calendar=calendar), NOON, NOON)


def at(desk: Desk, day: date, sequence: int = 0, **closes: float) -> None:
    """The evening of a session: its bars come, and it is scored."""
    for symbol, close in closes.items():
        desk.put(symbol, {day: close})
    desk.move(utc(day.year, day.month, day.day, 21, 30))
    desk.score(day, sequence=sequence)


def stored(desk: Desk) -> dict[tuple[int, date, int], Any]:
    """(version, as_of, step) -> state."""
    return {(row.model_version_id, row.as_of, row.step): row.state for row in desk.rows(calibration_states)}


def states(desk: Desk, version: int, as_of: date) -> CalibrationState:
    with desk.database.reading() as connection:
        return read_states(connection, [version], "XNYS", as_of)[version]


def add_judged_walk(desk: Desk, state: CalibrationState) -> int:
    """A random walk whose training left a state."""
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


def test_a_score_run_writes_the_states_as_of_its_session(said: Desk) -> None:
    at(said, T, AAA=101.0)
    found = stored(said)
    assert set(found) == {(1, T, step) for step in (0, 1, 2, 3)}
    first = found[1, T, 1]
    # One symbol inside every interval and above the median: a third of the rates, half of it a side.
    assert first["width"] == pytest.approx([-0.08 * 0.05 / 6, -0.06 * 0.2 / 6, -0.04 * 0.5 / 6], abs=1e-15)
    assert (first["centre"], first["days"]) == ([0.0, 0.0, 0.0], 1)
    assert first["median"] == pytest.approx(0.002 * 0.5 / 3, abs=1e-15)
    assert first["scores"] == found[1, T, 0]["scores"] == 1
    assert [found[1, T, step]["days"] for step in (0, 2, 3)] == [0, 0, 0]


def test_a_session_s_states_are_written_once(said: Desk) -> None:
    at(said, T, AAA=101.0)
    before = stored(said)
    said.score(T, sequence=1)
    assert stored(said) == before


def test_a_corrected_close_neither_alters_a_state_nor_counts_again(said: Desk) -> None:
    at(said, T, AAA=101.0)
    before = stored(said)
    said.correct("AAA", AS_OF, 98.0)
    at(said, T1, AAA=95.0)
    after = stored(said)
    assert {key: after[key] for key in before} == before
    assert [after[1, T1, step]["days"] for step in (1, 2, 3)] == [1, 1, 0]
    assert after[1, T1, 1]["width"] == before[1, T, 1]["width"]


def test_a_later_state_goes_on_from_the_one_before(said: Desk) -> None:
    say(said, Said("AAA", T, (T1,), 1, last_close=101.0))
    at(said, T1, AAA=101.0)  # T's bar is not there: as_of T cannot be scored, as_of AS_OF can
    at(said, T2, AAA=130.0)
    found = stored(said)
    assert found[1, T1, 2]["days"] == found[1, T2, 2]["days"] == 1
    assert found[1, T2, 3]["days"] == 1
    assert found[1, T2, 3]["width"] == pytest.approx([0.08 * 0.95 / 6, 0.06 * 0.8 / 6, 0.04 * 0.5 / 6], abs=1e-15)


def test_a_bar_that_comes_late_still_counts_and_only_once(said: Desk) -> None:
    at(said, T1, AAA=101.0)
    assert [stored(said)[1, T1, step]["days"] for step in (1, 2)] == [0, 1]
    said.put("AAA", {T: 100.5})
    at(said, T2, AAA=101.0)
    assert [stored(said)[1, T2, step]["days"] for step in (1, 2, 3)] == [1, 1, 1]


def test_a_refit_goes_on_where_its_predecessor_stood(said: Desk) -> None:
    at(said, T, AAA=101.0)
    refit = add_judged_walk(said, STATE)
    assert states(said, refit, T) == states(said, 1, T)
    assert states(said, refit, T).steps[0].days == 1
    at(said, T1, AAA=95.0)  # the predecessor's second step is scored: the refit bears the state
    assert {version for version, as_of, _ in stored(said) if as_of == T1} == {refit}
    assert states(said, 1, T1) == states(said, refit, T1)
    assert [each.days for each in states(said, refit, T1).steps] == [1, 1, 0]
    assert states(said, refit, T).steps[1].days == 0  # what was known then stands


def test_before_anything_is_scored_the_judged_span_counts(desk: Desk) -> None:
    walk, judged = desk.add_walk(Strategy.MULTI_STEP), add_judged_walk(desk, STATE)
    assert states(desk, judged, T) == STATE
    assert states(desk, walk, T) == CalibrationState.start(3)


def test_learning_begins_from_the_judged_span(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, [90.0, 100.0]))
    judged = add_judged_walk(desk, STATE)
    say(desk, Said("AAA", AS_OF, (T, T1, T2), judged))
    at(desk, T, AAA=101.0)
    assert states(desk, judged, T).steps[0].days == 10
    assert states(desk, judged, T).steps[1] == STATE.steps[1]
    assert states(desk, judged, AS_OF) == STATE


def test_published_forecasts_keep_the_state_they_were_made_with(said: Desk) -> None:
    say(said, Said("AAA", T, (T1, T2), 1, last_close=101.0))
    at(said, T, AAA=101.0)
    assert stored(said) == {}
    at(said, T1, AAA=102.0)
    assert {as_of for _, as_of, _ in stored(said)} == {T1}
    assert states(said, 1, T) == CalibrationState.start(3)
    assert [each.days for each in states(said, 1, T1).steps] == [2, 1, 0]


def test_back_fills_and_other_calendars_teach_nothing(said: Desk) -> None:
    said.add(History("7203.T", AS_OF, [1000.0], calendar="XTKS"))
    say(said, Said("7203.T", AS_OF, (T, T1, T2), 1), calendar="XTKS")
    say(said, Said("AAA", AS_OF, (T, T1, T2), said.add_walk(Strategy.ONE_STEP), "one_step"), mode="backfill")
    said.put("7203.T", {T: 1300.0})
    at(said, T, AAA=101.0)
    assert {key[0] for key in stored(said)} == {1}
    assert states(said, 1, T).steps[0].days == 1
    said.score(T, calendar="XTKS")
    with said.database.reading() as connection:
        tokyo = read_states(connection, [1], "XTKS", T)[1]
    assert tokyo.steps[0].width[0] > 0 > states(said, 1, T).steps[0].width[0]


def test_of_two_revisions_the_last_counts(said: Desk) -> None:
    say(said, Said("AAA", AS_OF, (T, T1, T2), 1, revision=2, quantiles=tuple(value / 100 for value in SHAPE)))
    at(said, T, AAA=101.0)
    found = states(said, 1, T).steps[0]
    assert found.days == 1
    assert found.width[0] == pytest.approx(0.08 * 0.95 / 6, abs=1e-15)  # outside the narrow revision


def test_the_band_learns_when_a_path_has_ended(said: Desk) -> None:
    at(said, T, AAA=101.0)
    at(said, T1, AAA=95.0)
    assert states(said, 1, T1).joint == JointState()
    at(said, T2, AAA=107.0)
    joint = states(said, 1, T2).joint
    # T+2 went 0.0677 up of half widths 0.02, 0.04, 0.06: 3.4, 1.7, 1.13 of them, so that only 95 % held (1.24).
    assert (joint.held, joint.days) == ((0.0, 0.0, 1.0), 1)
    expected = np.log([1.6, 1.32, 1.24]) + 0.05 / 3 * np.array([0.5, 0.8, -0.05])
    assert np.log(joint.factors) == pytest.approx(expected, abs=1e-13)
    row = stored(said)[1, T2, 0]
    assert row["measured"] == {"n": 1, "coverage": [0.0, 0.0, 1.0]}
    assert stored(said)[1, T1, 0]["measured"] == {"n": 0, "coverage": []}


def test_what_was_served_can_be_computed_again(desk: Desk) -> None:
    """Twelve sessions of forecasts and scores: every stored forecast is its state applied to its raw quantiles."""
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
    learnt = 0
    for row in rows:
        raw = np.array([getattr(row, f"raw_{name}") for name in QUANTILE_NAMES])
        state = states(desk, row.model_version_id, row.as_of)
        assert len(state.steps) == horizons[row.model_version_id]
        at_step = np.tile(raw, (1, len(state.steps), 1))
        again = calibrate_batch(state.steps, at_step, np.array([row.sigma]))[0, row.step - 1]
        assert quantiles_of(row) == pytest.approx(tuple(again), abs=1e-15)
        learnt += quantiles_of(row) != tuple(raw)
    # as_of 0 knows nothing; step s is known from session s on: 12 + 12 + 11 + 10 of each symbol.
    assert learnt == 2 * (12 + 12 + 11 + 10)
    assert states(desk, rows[-1].model_version_id, days[-1]).steps[0].days == 12
