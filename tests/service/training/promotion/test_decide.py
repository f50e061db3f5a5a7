"""Decisions after a training: which version serves, and why."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection

from models.config import ModelConfig, Strategy
from models.gate import Evidence, evaluate_config
from models.training.train import TrainedArtifact
from service.db.tables import model_decisions, model_versions
from service.training.promotion.decide import NewNetwork, NewVersions, promote
from service.training.registry.approvals import ConfigKey, record_attempt, record_withdrawal
from service.training.registry.manual import PersonsReason, pin, unpin
from service.training.registry.versions import Recorded, add_version, champion
from service.vocabulary import ApprovalKind
from tests.support.forecast_factory import NOON, Desk

RECORDED = Recorded(NOON, NOON, None)
WALK_CONFIG = ModelConfig("random_walk", Strategy.ONE_STEP, lookback=1, seeds=(0,))
WALK = TrainedArtifact(WALK_CONFIG, Path("w"), "s", "d", None, None, None, None, {}, 0.0)
NETWORK = replace(WALK, config=ModelConfig("lstm", Strategy.ONE_STEP))
KEY = ConfigKey("equity", "one_step", NETWORK.config.hash(), "lstm")
ACCEPTED = (
    "the model config beats the random walk over 252 sessions: pinball 38.50 against 39.00 bp, "
    "p < 0.0001 (limit 0.025, attempt 1)"
)
REFUSED = (
    "the model config does not beat the random walk over 252 sessions: pinball 39.00 against 39.00 bp, "
    "p = 0.5000 (limit 0.025, attempt 1)"
)


def attempt(desk: Desk, gain: float, key: ConfigKey = KEY) -> None:
    """Test the config on 252 days on which it is better by `gain` bp, with a standard deviation of 1 bp."""
    draw = np.random.default_rng(0)
    noise = draw.normal(size=252)
    noise -= noise.mean()
    walk = np.full(252, 39.0)
    evidence = Evidence(np.datetime64("2017-01-01", "D") + np.arange(252), walk - gain + noise, walk, 1)
    with desk.database.transaction() as connection:
        record_attempt(connection, key, evidence, evaluate_config(evidence, 1), RECORDED)


def train(connection: Connection, ratio: float | None, config: ModelConfig = NETWORK.config) -> str:
    """Record a training: a random walk, and a network with `ratio` times its predecessor's loss.

    Without a ratio there is no network.
    """
    walk = add_version(connection, "equity", WALK, NOON, RECORDED)
    if ratio is None:
        return promote(connection, NewVersions("equity", "one_step", walk, None), RECORDED)
    network = add_version(connection, "equity", replace(NETWORK, config=config), NOON, RECORDED)
    metrics: dict[str, Any] = {"n": 500, "pinball": 38.0, "random_walk_pinball": 39.0, "skill": 1 / 39, "p": 0.2}
    serving = champion(connection, "equity", "one_step")
    predecessor = 0 if serving is None else serving.id
    metrics["predecessor"] = {"version": predecessor, "n": 400, "pinball": 38.0 * ratio, "predecessor_pinball": 38.0}
    new = NewVersions("equity", "one_step", walk, NewNetwork(network, metrics, config.hash(), "lstm"))
    return promote(connection, new, RECORDED)


def after(desk: Desk, *trainings: float | None) -> list[tuple[int, str]]:
    """Record trainings one after the other; return (version, status) of all versions."""
    for ratio in trainings:
        with desk.database.transaction() as connection:
            train(connection, ratio)
        assert [row.status for row in desk.rows(model_versions)].count("champion") == 1
    return [(row.id, row.status) for row in desk.rows(model_versions)]


def reasons(desk: Desk) -> dict[int, str]:
    return {row.id: row.reason for row in desk.rows(model_versions)}


def test_the_random_walk_serves_before_any_network(desk: Desk) -> None:
    assert after(desk, None) == [(1, "champion")]
    assert reasons(desk)[1] == "the random walk serves until a network is trained and accepted"


def test_a_network_with_an_untested_config_is_challenger(desk: Desk) -> None:
    assert after(desk, 1.0) == [(1, "champion"), (2, "challenger")]
    assert reasons(desk) == {
        1: "the random walk serves: the lstm is not promoted: the model config has not been tested yet",
        2: "not promoted: the model config has not been tested yet",
    }


def test_a_network_with_an_accepted_config_serves_with_the_reason(desk: Desk) -> None:
    attempt(desk, 0.5)
    assert after(desk, 1.0) == [(1, "challenger"), (2, "champion")]
    assert reasons(desk) == {1: "a network serves", 2: f"promoted: {ACCEPTED}"}


def test_the_random_walk_serves_if_the_config_is_refused(desk: Desk) -> None:
    attempt(desk, 0.0)
    assert after(desk, 1.0) == [(1, "champion"), (2, "challenger")]
    assert reasons(desk)[2].startswith(f"not promoted: {REFUSED}")


def test_a_refit_takes_over_if_it_is_worse_by_less_than_the_margin(desk: Desk) -> None:
    attempt(desk, 0.5)
    assert after(desk, 1.0, 1.0099) == [(1, "retired"), (2, "retired"), (3, "challenger"), (4, "champion")]
    assert reasons(desk)[4] == (
        "the refit takes over from version 2: pinball 38.38 bp on 400 forecasts unseen by both is within 1% "
        "of its predecessor's 38.00 bp"
    )


def test_a_worse_refit_is_challenger_and_its_predecessor_keeps_serving(desk: Desk) -> None:
    attempt(desk, 0.5)
    assert after(desk, 1.0, 1.02) == [(1, "retired"), (2, "champion"), (3, "challenger"), (4, "challenger")]
    assert reasons(desk)[3] == "version 2 keeps serving"
    assert reasons(desk)[4].endswith("of its predecessor's 38.00 bp, so version 2 keeps serving")
    assert after(desk, 1.0)[1:] == [(2, "retired"), (3, "retired"), (4, "retired"), (5, "challenger"), (6, "champion")]


def test_a_refit_takes_over_if_its_predecessor_cannot_be_compared(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    with desk.database.transaction() as connection:
        walk = add_version(connection, "equity", WALK, NOON, RECORDED)
        network = add_version(connection, "equity", NETWORK, NOON, RECORDED)
        metrics = {"predecessor": {"version": 2, "error": "its folder is gone"}}
        promote(
            connection,
            NewVersions("equity", "one_step", walk, NewNetwork(network, metrics, KEY.config_hash, "lstm")),
            RECORDED,
        )
    assert reasons(desk)[4] == f"promoted: version 2 could not be compared with (its folder is gone); {ACCEPTED}"


def test_a_comparison_with_another_version_than_the_champion_does_not_count(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    with desk.database.transaction() as connection:
        walk = add_version(connection, "equity", WALK, NOON, RECORDED)
        network = add_version(connection, "equity", NETWORK, NOON, RECORDED)
        comparison = {"version": 1, "n": 400, "pinball": 50.0, "predecessor_pinball": 38.0}
        promote(
            connection,
            NewVersions(
                "equity", "one_step", walk, NewNetwork(network, {"predecessor": comparison}, KEY.config_hash, "lstm")
            ),
            RECORDED,
        )
    assert reasons(desk)[4] == (
        f"promoted: version 2 could not be compared with (version 1 served when its training began); {ACCEPTED}"
    )


def test_the_random_walk_serves_after_a_withdrawal(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    with desk.database.transaction() as connection:
        record_withdrawal(
            connection,
            KEY,
            ApprovalKind.LIVE,
            "the model config lost to the random walk over 130 live sessions",
            RECORDED,
        )
    assert after(desk, 1.0) == [(1, "retired"), (2, "retired"), (3, "champion"), (4, "challenger")]
    assert "lost to the random walk over 130 live sessions" in reasons(desk)[3]


def test_an_untested_config_does_not_replace_an_accepted_one(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    with desk.database.transaction() as connection:
        train(connection, 0.9, replace(NETWORK.config, lookback=10))
    assert [(row.id, row.status) for row in desk.rows(model_versions)] == [
        (1, "retired"), (2, "champion"), (3, "challenger"), (4, "challenger"),
    ]  # fmt: skip
    assert reasons(desk)[4] == "not promoted: the model config has not been tested yet"


def test_a_training_without_a_network_keeps_the_serving_one(desk: Desk) -> None:
    attempt(desk, 0.5)
    assert after(desk, 1.0, None) == [(1, "retired"), (2, "champion"), (3, "challenger")]
    assert reasons(desk)[3] == "a network serves"


@pytest.mark.parametrize(("group", "strategy"), [("crypto", "one_step"), ("equity", "multi_step")])
def test_an_approval_is_valid_for_its_group_and_strategy_alone(desk: Desk, group: str, strategy: str) -> None:
    attempt(desk, 0.5, replace(KEY, group=group, strategy=strategy))
    assert after(desk, 1.0) == [(1, "champion"), (2, "challenger")]


def test_every_change_of_status_is_stored_as_a_decision_with_its_figures(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, None, 1.0, 1.02)
    decisions = [(row.model_version_id, row.status) for row in desk.rows(model_decisions)]
    assert decisions == [
        (1, "champion"),
        (1, "retired"), (2, "challenger"), (3, "champion"),
        (2, "retired"), (5, "challenger"), (4, "challenger"),
    ]  # fmt: skip
    last = {version: status for version, status in decisions}
    assert last == {row.id: row.status for row in desk.rows(model_versions)}
    figures = {(row.model_version_id, row.status): row.figures for row in desk.rows(model_decisions)}
    kept = figures[(3, "champion")]
    assert (kept["n"], kept["pinball"], kept["random_walk_pinball"]) == (500, 38.0, 39.0)
    assert (kept["config_kind"], kept["config_attempt"], kept["config_sessions"]) == ("attempt", 1, 252)
    assert kept["config_level"] == pytest.approx(0.025)
    assert figures[(5, "challenger")]["predecessor"] == {
        "version": 3, "n": 400, "pinball": pytest.approx(38.76), "predecessor_pinball": 38.0,
    }  # fmt: skip


def test_promote_returns_the_decision_as_a_sentence(desk: Desk) -> None:
    attempt(desk, 0.5)
    with desk.database.transaction() as connection:
        decisions = [train(connection, ratio) for ratio in (None, 1.0, None)]
    assert decisions == [
        "the random walk serves until a network is trained and accepted",
        f"lstm promoted: {ACCEPTED}",
        "a network serves",
    ]


CHOSEN = replace(NETWORK.config, forecaster="conv_lstm")
CHOSEN_KEY = ConfigKey("equity", "one_step", CHOSEN.hash(), "conv_lstm")


def train_both(
    desk: Desk,
    chosen_metrics: Mapping[str, Any] = MappingProxyType({}),
    metrics: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[str, list[tuple[str, str]]]:
    """Record a training of a spatiotemporal network and its substitute; return the sentence and (status, reason)."""
    with desk.database.transaction() as connection:
        walk = add_version(connection, "equity", WALK, NOON, RECORDED)
        chosen = add_version(connection, "equity", replace(NETWORK, config=CHOSEN), NOON, RECORDED)
        other = add_version(connection, "equity", NETWORK, NOON, RECORDED)
        networks = (
            NewNetwork(chosen, chosen_metrics, CHOSEN.hash(), "conv_lstm"),
            NewNetwork(other, metrics, NETWORK.config.hash(), "lstm"),
        )
        sentence = promote(connection, NewVersions("equity", "one_step", walk, *networks), RECORDED)
    rows = {row.id: (row.status, row.reason) for row in desk.rows(model_versions)}
    return sentence, [rows[walk], rows[chosen], rows[other]]


def test_an_accepted_substitute_serves_while_the_chosen_network_is_not_accepted(desk: Desk) -> None:
    attempt(desk, 0.0, CHOSEN_KEY)
    attempt(desk, 0.5)
    sentence, (walk, chosen, other) = train_both(desk)
    assert sentence == f"conv_lstm not accepted: lstm promoted: {ACCEPTED}"
    assert walk == ("challenger", "a network serves")
    assert chosen[0] == "challenger"
    assert chosen[1].startswith(f"not promoted: {REFUSED}")
    assert other == ("champion", f"promoted: {ACCEPTED}")


def test_the_chosen_network_serves_if_both_are_accepted(desk: Desk) -> None:
    attempt(desk, 0.5, CHOSEN_KEY)
    attempt(desk, 0.5)
    sentence, (_walk, chosen, other) = train_both(desk)
    assert sentence == f"conv_lstm promoted: {ACCEPTED}"
    assert chosen[0] == "champion"
    assert other == ("challenger", "it serves symbols that the conv_lstm has not seen")


def test_a_substitute_that_serves_is_refitted_while_the_accepted_chosen_network_is_worse(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    attempt(desk, 0.5, CHOSEN_KEY)

    def compared(pinball: float) -> dict[str, Any]:
        return {"predecessor": {"version": 2, "n": 400, "pinball": pinball, "predecessor_pinball": 38.0}}

    sentence, (walk, chosen, other) = train_both(desk, compared(45.6), compared(38.0))
    assert sentence.startswith("conv_lstm not promoted: lstm the refit takes over from version 2: ")
    assert walk == ("challenger", "a network serves")
    assert (chosen[0], other[0]) == ("challenger", "champion")
    assert chosen[1].startswith("not promoted: ")
    assert "keeps serving" not in chosen[1]
    assert other[1].startswith("the refit takes over from version 2: ")


def test_the_reason_of_a_substitute_that_is_not_accepted_is_its_own(desk: Desk) -> None:
    attempt(desk, 0.5, CHOSEN_KEY)
    attempt(desk, 0.0)
    _sentence, (_walk, chosen, other) = train_both(desk)
    assert chosen[0] == "champion"
    assert other[0] == "challenger"
    assert other[1].startswith(f"not promoted: {REFUSED}")


def test_the_random_walk_serves_if_neither_is_accepted(desk: Desk) -> None:
    _sentence, found = train_both(desk)
    assert [status for status, _ in found] == ["champion", "challenger", "challenger"]
    assert found[0][1] == (
        "the random walk serves: the conv_lstm is not promoted: the model config has not been tested yet"
    )
    # The versions of the training before are retired, the new ones stay.
    _sentence, found = train_both(desk)
    assert [row.status for row in desk.rows(model_versions)][:3] == ["retired", "retired", "retired"]


def pin_champion(desk: Desk, pinned: bool = True) -> None:
    with desk.database.transaction() as connection:
        serving = champion(connection, "equity", "one_step")
        assert serving is not None
        change = pin if pinned else unpin
        change(connection, serving.id, PersonsReason("by a test"), RECORDED)


def test_a_pinned_network_keeps_serving_and_unpinned_it_is_replaced(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    pin_champion(desk)
    assert after(desk, 1.0) == [(1, "retired"), (2, "champion"), (3, "challenger"), (4, "challenger")]
    assert reasons(desk)[3] == "version 2 is pinned"
    assert reasons(desk)[4] == f"not promoted: version 2 is pinned; {ACCEPTED}"
    assert after(desk, None)[1:3] == [(2, "champion"), (3, "retired")]
    pin_champion(desk, pinned=False)
    assert after(desk, 1.0)[-1] == (7, "champion")


def test_a_pinned_network_of_another_config_keeps_serving(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    pin_champion(desk)
    other = ModelConfig("stacked_lstm", Strategy.ONE_STEP)
    with desk.database.transaction() as connection:
        sentence = train(connection, 1.0, other)
    assert sentence == "version 2 is pinned and keeps serving"
    assert {row.id: row.status for row in desk.rows(model_versions)}[2] == "champion"


def test_a_pinned_random_walk_keeps_serving_although_a_network_is_accepted(desk: Desk) -> None:
    after(desk, None)
    pin_champion(desk)
    attempt(desk, 0.5)
    assert after(desk, 1.0) == [(1, "champion"), (2, "challenger"), (3, "challenger")]


def test_a_pinned_version_is_not_withdrawn(desk: Desk) -> None:
    attempt(desk, 0.5)
    after(desk, 1.0)
    pin_champion(desk)
    with desk.database.transaction() as connection:
        record_withdrawal(connection, KEY, ApprovalKind.LIVE, "it loses", RECORDED)
    assert after(desk, None, 1.0)[1] == (2, "champion")
