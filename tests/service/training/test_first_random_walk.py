"""Random walks fitted before any training."""

from datetime import date

import pytest
from sqlalchemy import update

from models.baselines import RandomWalk
from models.config import Strategy
from models.forecasting.network_forecaster import load_forecaster
from service.db.tables import model_decisions, model_versions, runs
from service.errors import FencedError
from service.training.first_random_walk import ensure_random_walk
from tests.support.forecast_factory import Desk, History, random_closes, utc

LAST = date(2018, 5, 31)
EVENING, CUT_AT = utc(2018, 5, 31, 22), utc(2018, 5, 31, 21, 30)


def test_the_random_walk_of_each_strategy_is_fitted_once(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(600, 1)))
    desk.move(EVENING)
    run = desk.run("forecast", LAST)
    ensure_random_walk(desk.context, run, "equity", CUT_AT)
    ensure_random_walk(desk.context, run, "equity", CUT_AT)
    stored = desk.rows(model_versions)
    assert [(row.strategy, row.forecaster, row.status, row.run_id) for row in stored] == [
        ("one_step", "random_walk", "champion", run.id), ("multi_step", "random_walk", "champion", run.id),
    ]  # fmt: skip
    assert len(desk.rows(model_decisions)) == 2
    assert len(desk.worker.requests) == 1


def test_only_bars_final_by_the_cut_are_used(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(600, 1)))
    desk.put("AAA", {date(2018, 6, 1): 900.0})
    desk.move(utc(2018, 6, 2))
    ensure_random_walk(desk.context, desk.run("forecast", LAST), "equity", CUT_AT)
    (one_step, _) = desk.rows(model_versions)
    assert one_step.data_until == CUT_AT
    walk = load_forecaster(desk.context.settings.artifact_dir / one_step.artifact, one_step.sha256)
    assert isinstance(walk, RandomWalk)
    # 600 closes: a residual needs 80 bars up to its session, so 520 sessions have their target by the cut.
    assert walk.residuals == (520,)


def test_both_strategies_are_fitted_again_if_one_is_missing(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(80, 1)))
    desk.add_walk(Strategy.ONE_STEP)
    desk.move(EVENING)
    ensure_random_walk(desk.context, desk.run("forecast", LAST), "equity", CUT_AT)
    assert [(row.strategy, row.status) for row in desk.rows(model_versions)] == [
        ("one_step", "retired"), ("one_step", "champion"), ("multi_step", "champion"),
    ]  # fmt: skip


def test_a_run_that_was_taken_over_records_no_random_walk(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(80, 1)))
    desk.move(EVENING)
    run = desk.run("forecast", LAST)
    with desk.database.transaction() as connection:
        connection.execute(update(runs).values(token=run.token + 1))
    with pytest.raises(FencedError):
        ensure_random_walk(desk.context, run, "equity", CUT_AT)
    assert desk.rows(model_versions) == []
