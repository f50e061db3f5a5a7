"""Who serves after a training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from models.specs import Recipe, Strategy
from models.training import TrainedArtifact
from service.db.tables import model_decisions, model_versions
from service.training.promote import NewVersions, judge_network, promote
from service.training.repository import Recorded, add_version
from tests.forecast_factory import NOON, Desk

RECORDED = Recorded(NOON, NOON, None)
WALK_RECIPE = Recipe("random_walk", Strategy.ONE_STEP, lookback=1, seeds=(0,))
WALK = TrainedArtifact(WALK_RECIPE, Path("w"), "s", "d", None, None, None, None, {}, 0.0)
NETWORK = replace(WALK, recipe=Recipe("lstm", Strategy.ONE_STEP))


def metrics(own: float, walk: float = 39.0) -> dict[str, Any]:
    return {"n": 500, "pinball": own, "random_walk_pinball": walk, "skill": 1 - own / walk, "p": 0.2}


def train(connection: Connection, own: float | None) -> str:
    """One training: a random walk, and a network of a given pinball unless None."""
    walk = add_version(connection, "equity", WALK, NOON, RECORDED)
    network = None if own is None else add_version(connection, "equity", NETWORK, NOON, RECORDED)
    figures = {} if own is None else metrics(own)
    return promote(connection, NewVersions("equity", "one_step", walk, network, figures), RECORDED)


def after(desk: Desk, *trainings: float | None) -> list[tuple[int, str]]:
    """Trainings one after the other; (version, status) of all that stand, and always one champion."""
    for own in trainings:
        with desk.database.transaction() as connection:
            train(connection, own)
        assert [row.status for row in desk.rows(model_versions)].count("champion") == 1
    return [(row.id, row.status) for row in desk.rows(model_versions)]


@pytest.mark.parametrize(("own", "passes"), [(38.999, True), (39.0, True), (39.001, False)])
def test_not_worse_is_enough(own: float, passes: bool) -> None:
    assert judge_network(metrics(own))[0] is passes


def test_the_sentence_says_what_was_compared() -> None:
    assert judge_network(metrics(38.534))[1] == (
        "pinball 38.53 bp on 500 judged forecasts is not worse than the random walk's 39.00 bp"
    )
    assert judge_network(metrics(40.0))[1] == (
        "pinball 40.00 bp on 500 judged forecasts is worse than the random walk's 39.00 bp"
    )


def test_the_random_walk_serves_before_any_network(desk: Desk) -> None:
    assert after(desk, None) == [(1, "champion")]
    (row,) = desk.rows(model_versions)
    assert row.reason == "no network serves this group yet"


def test_the_first_network_is_promoted_where_it_is_not_worse(desk: Desk) -> None:
    assert after(desk, None, 38.0) == [(1, "retired"), (2, "challenger"), (3, "champion")]
    assert [row.reason for row in desk.rows(model_versions)] == [
        "replaced by version 2",
        "a network serves",
        "promoted: pinball 38.00 bp on 500 judged forecasts is not worse than the random walk's 39.00 bp",
    ]


def test_a_worse_network_stays_challenger_and_the_random_walk_says_why(desk: Desk) -> None:
    assert after(desk, None, 40.0) == [(1, "retired"), (2, "champion"), (3, "challenger")]
    sentence = "pinball 40.00 bp on 500 judged forecasts is worse than the random walk's 39.00 bp"
    assert [row.reason for row in desk.rows(model_versions)][1:] == [
        f"the random walk serves: the lstm's {sentence}",
        f"not promoted: {sentence}",
    ]


def test_a_refit_keeps_the_place(desk: Desk) -> None:
    assert after(desk, 38.0, 38.5) == [(1, "retired"), (2, "retired"), (3, "challenger"), (4, "champion")]
    assert [row.reason for row in desk.rows(model_versions)][3].startswith("the refit keeps the place: pinball 38.50")


def test_a_refit_that_is_worse_loses_the_place(desk: Desk) -> None:
    assert after(desk, 38.0, 39.5) == [(1, "retired"), (2, "retired"), (3, "champion"), (4, "challenger")]
    reasons = [row.reason for row in desk.rows(model_versions)]
    assert reasons[3].startswith("the refit loses the place: pinball 39.50")
    assert reasons[2].startswith("the random walk serves: the lstm's pinball 39.50")


def test_a_place_that_was_lost_can_be_won_again(desk: Desk) -> None:
    assert after(desk, 38.0, 39.5, 38.0)[4:] == [(5, "challenger"), (6, "champion")]
    assert [row.reason for row in desk.rows(model_versions)][5].startswith("promoted: ")


def test_a_training_without_a_network_leaves_the_serving_one(desk: Desk) -> None:
    assert after(desk, 38.0, None) == [(1, "retired"), (2, "champion"), (3, "challenger")]
    assert [row.reason for row in desk.rows(model_versions)][2] == "the random walk stands beside the network"


def test_another_strategy_and_group_are_left_alone(desk: Desk) -> None:
    after(desk, 38.0)
    with desk.database.transaction() as connection:
        walk = add_version(connection, "crypto", WALK, NOON, RECORDED)
        promote(connection, NewVersions("crypto", "one_step", walk, None, {}), RECORDED)
        other = replace(WALK, recipe=replace(WALK.recipe, strategy=Strategy.MULTI_STEP))
        walk = add_version(connection, "equity", other, NOON, RECORDED)
        promote(connection, NewVersions("equity", "multi_step", walk, None, {}), RECORDED)
    assert [(row.group, row.strategy, row.status) for row in desk.rows(model_versions)] == [
        ("equity", "one_step", "challenger"),
        ("equity", "one_step", "champion"),
        ("crypto", "one_step", "champion"),
        ("equity", "multi_step", "champion"),
    ]


def test_every_change_of_status_is_a_kept_decision_with_its_figures(desk: Desk) -> None:
    after(desk, None, 38.0, 40.0)
    decisions = [(row.model_version_id, row.status) for row in desk.rows(model_decisions)]
    assert decisions == [
        (1, "champion"),
        (1, "retired"), (2, "challenger"), (3, "champion"),
        (2, "retired"), (3, "retired"), (5, "challenger"), (4, "champion"),
    ]  # fmt: skip
    last = {version: status for version, status in decisions}
    assert last == {row.id: row.status for row in desk.rows(model_versions)}
    figures = {(row.model_version_id, row.status): row.figures for row in desk.rows(model_decisions)}
    assert figures[(3, "champion")] == {
        "n": 500, "pinball": 38.0, "random_walk_pinball": 39.0, "skill": 1 - 38 / 39, "p": 0.2,
    }  # fmt: skip
    assert figures[(5, "challenger")]["pinball"] == 40.0


def test_the_sentence_to_tell(desk: Desk) -> None:
    with desk.database.transaction() as connection:
        told = [train(connection, own) for own in (None, 40.0, 38.0, None)]
    assert told == [
        "the random walk serves: no network serves this group yet",
        "lstm not promoted: pinball 40.00 bp on 500 judged forecasts is worse than the random walk's 39.00 bp",
        "lstm promoted: pinball 38.00 bp on 500 judged forecasts is not worse than the random walk's 39.00 bp",
        "the random walk stands beside the network",
    ]
