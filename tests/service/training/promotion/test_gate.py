"""Live evidence: losses of a config's versions compared with those of the random walk."""

from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from models.config import Strategy
from models.gate import Evidence
from service.db.tables import forecasts, model_versions
from service.forecasts.ledger import publish
from service.training.promotion.gate import live_evidence
from service.training.registry.approvals import ConfigKey
from tests.support.forecast_factory import NOON, Desk, History, Said, draft_of, sessions_until
from tests.support.score_batches import add_scores

LAST = date(2018, 6, 29)
WALK, NETWORK = 1, 2


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """Return a desk with two symbols, a random walk (1) and a network (2) of three steps."""
    for symbol in ("AAA", "BBB"):
        desk.add(History(symbol, LAST, [100.0]))
    assert desk.add_walk(Strategy.MULTI_STEP) == WALK
    assert desk.add_network(Strategy.MULTI_STEP, "challenger") == NETWORK
    return desk


def publish_and_score(
    desk: Desk, symbol: str, place: int, pinballs: dict[int, list[float | None]], mode: str = "replay"
) -> None:
    """Publish and score the forecasts from one as_of; None = not scored yet."""
    days = sessions_until(LAST, 12)
    as_of, targets = days[place], tuple(days[place + 1 : place + 4])
    given = [Said(symbol, as_of, targets, version, served=version == NETWORK) for version in pinballs]
    with desk.database.transaction() as connection:
        number = publish(connection, draft_of(*given, mode=mode), NOON, NOON)
        for row in connection.execute(forecasts.select().where(forecasts.c.edition == number)).all():
            pinball = pinballs[row.model_version_id][row.step - 1]
            if pinball is not None:
                add_scores(connection, [_score(row.id, pinball)], NOON)


def _score(forecast_id: int, pinball: float) -> dict[str, Any]:
    return {
        "forecast_id": forecast_id, "revision": 1, "state": "scored", "pinball": pinball, "error": 0.0, "actual": 0.0,
        "inside_50": True, "inside_80": True, "inside_95": True, "scored_at": NOON, "recorded_at": NOON,
    }  # fmt: skip


def evidence(desk: Desk, mode: str = "replay") -> Evidence:
    (config,) = {row.config_hash for row in desk.rows(model_versions) if row.forecaster == "lstm"}
    with desk.database.reading() as connection:
        return live_evidence(connection, ConfigKey("equity", "multi_step", config, "lstm"), mode)


def test_daily_losses_are_means_over_symbols_and_steps_in_basis_points(ready: Desk) -> None:
    publish_and_score(ready, "AAA", 0, {NETWORK: [0.001, 0.002, 0.003], WALK: [0.002, 0.003, 0.004]})
    publish_and_score(ready, "BBB", 0, {NETWORK: [0.003, 0.004, 0.005], WALK: [0.004, 0.005, 0.006]})
    publish_and_score(ready, "AAA", 1, {NETWORK: [0.001, 0.001, 0.001], WALK: [0.001, 0.001, 0.001]})
    found = evidence(ready)
    assert found.horizon == 3
    assert found.days.tolist() == [day for day, _ in pairwise(sessions_until(LAST, 12))][:2]
    np.testing.assert_allclose(found.loss, [30.0, 10.0])
    np.testing.assert_allclose(found.walk, [40.0, 10.0])


def test_the_newest_version_and_the_newest_score_count(ready: Desk) -> None:
    refit = ready.add_network(Strategy.MULTI_STEP, "challenger", seed=2)
    pinballs: dict[int, list[float | None]] = {NETWORK: [0.009] * 3, WALK: [0.002, 0.003, 0.004]}
    publish_and_score(ready, "AAA", 0, {refit: [0.001, 0.002, 0.003], **pinballs})
    corrected = next(row.id for row in ready.rows(forecasts) if (row.model_version_id, row.step) == (refit, 3))
    with ready.database.transaction() as connection:
        add_scores(connection, [{**_score(corrected, 0.006), "revision": 2}], NOON)
    found = evidence(ready)
    np.testing.assert_allclose(found.loss, [30.0])
    np.testing.assert_allclose(found.walk, [30.0])


def test_a_forecast_counts_only_if_all_its_steps_are_scored(ready: Desk) -> None:
    publish_and_score(ready, "AAA", 0, {NETWORK: [0.001, None, None], WALK: [0.002, None, None]})
    assert len(evidence(ready)) == 0


def test_a_forecast_without_the_random_walk_does_not_count(ready: Desk) -> None:
    publish_and_score(ready, "AAA", 0, {NETWORK: [0.001, 0.002, 0.003]})
    assert len(evidence(ready)) == 0


def test_modes_are_never_mixed(ready: Desk) -> None:
    publish_and_score(ready, "AAA", 0, {NETWORK: [0.001, 0.002, 0.003], WALK: [0.002, 0.003, 0.004]}, mode="backfill")
    assert len(evidence(ready)) == 0
    assert len(evidence(ready, "backfill")) == 1


def test_before_the_first_version_there_is_no_evidence(desk: Desk) -> None:
    with desk.database.reading() as connection:
        assert len(live_evidence(connection, ConfigKey("equity", "one_step", "none", "lstm"), "replay")) == 0
