"""Model versions and the decisions stored about them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from models.config import ModelConfig, Strategy
from models.errors import ArtifactError
from models.training.train import TrainedArtifact
from service.db.tables import change_counters, model_decisions, model_versions
from service.training.registry.versions import (
    Decision,
    Recorded,
    add_random_walk,
    add_version,
    artifact_folder,
    champion,
    decide,
    has_network,
    serving_versions,
    version_ids,
)
from service.vocabulary import ModelStatus
from tests.support.forecast_factory import Desk

MARKET, MACHINE = datetime(2018, 12, 20, 22, tzinfo=UTC), datetime(2026, 1, 2, 3, tzinfo=UTC)
RECORDED = Recorded(MARKET, MACHINE, None)
METRICS = {
    "n": 500,
    "dates": 252,
    "pinball": 38.5,
    "random_walk_pinball": 39.0,
    "skill": 0.0128,
    "p": 0.04,
    "coverage": {"50": [0.4, 0.6], "80": [0.8, 0.7]},
}
TRAINED = TrainedArtifact(
    ModelConfig("lstm", Strategy.MULTI_STEP, seeds=(4, 5)),
    Path("/store/lstm-multi_step-abc"),
    "f" * 64,
    "d" * 64,
    (date(2000, 3, 1), date(2016, 12, 30)),
    (date(2017, 1, 6), date(2018, 1, 5)),
    (date(2018, 1, 11), date(2018, 12, 14)),
    np.datetime64("2018-12-19T22:30:00", "s"),
    METRICS,
    12.0,
)


def add(
    desk: Desk, trained: TrainedArtifact = TRAINED, status: ModelStatus | None = None, group: str = "equity"
) -> int:
    with desk.database.transaction() as connection:
        version = add_version(connection, group, trained, MARKET, RECORDED)
        if status is not None:
            decide(connection, version, Decision(status, f"made {status}", {"p": 0.1}), RECORDED)
    return version


def walk(strategy: Strategy = Strategy.MULTI_STEP) -> TrainedArtifact:
    config = ModelConfig("random_walk", strategy, lookback=1, seeds=(0,))
    return replace(TRAINED, config=config, metrics={}, validation_dates=None, test_dates=None, data_until=None)


def test_a_version_stores_its_config_its_dates_and_its_artifact(desk: Desk) -> None:
    add(desk)
    (row,) = desk.rows(model_versions)
    assert (row.group, row.strategy, row.forecaster, row.lookback, row.horizon) == (
        "equity", "multi_step", "lstm", 5, 3,
    )  # fmt: skip
    assert (row.trained_at, row.recorded_at) == (MARKET, MACHINE)
    assert row.data_until == datetime(2018, 12, 19, 22, 30, tzinfo=UTC)
    assert (row.train_first, row.train_last) == (date(2000, 3, 1), date(2016, 12, 30))
    assert (row.validation_first, row.validation_last) == (date(2017, 1, 6), date(2018, 1, 5))
    assert (row.test_first, row.test_last) == (date(2018, 1, 11), date(2018, 12, 14))
    assert (row.artifact, row.sha256, row.data_hash) == ("lstm-multi_step-abc", "f" * 64, "d" * 64)
    assert row.seeds == [4, 5]
    assert ModelConfig.from_dict(row.specs) == TRAINED.config
    assert row.config_hash == TRAINED.config.hash()
    assert (row.status, row.reason) == ("challenger", "trained, not decided yet")


def test_the_figures_of_the_test_span_are_stored_under_the_names_of_the_api(desk: Desk) -> None:
    add(desk)
    (row,) = desk.rows(model_versions)
    assert row.metrics["test"] == METRICS
    served = {name: value for name, value in row.metrics.items() if name != "test"}
    assert served == {
        "test_n": 500,
        "test_pinball": 38.5,
        "test_random_walk_pinball": 39.0,
        "test_skill": 0.0128,
        "test_coverage_50": 0.5,
        "test_coverage_80": 0.75,
    }


def test_a_version_without_a_test_span_has_no_figures_and_no_dates(desk: Desk) -> None:
    add(desk, walk())
    (row,) = desk.rows(model_versions)
    assert (row.metrics, row.validation_first, row.test_last, row.data_until) == ({}, None, None, None)


def test_a_decision_changes_the_status_and_is_stored(desk: Desk) -> None:
    version = add(desk)
    add(desk, status=ModelStatus.REJECTED)
    with desk.database.transaction() as connection:
        decide(connection, version, Decision(ModelStatus.CHAMPION, "better", {"p": 0.01}), RECORDED)
        decide(connection, version, Decision(ModelStatus.RETIRED, "older", {}), RECORDED)
    assert [(row.status, row.reason) for row in desk.rows(model_versions)] == [
        ("retired", "older"), ("rejected", "made rejected"),
    ]  # fmt: skip
    kept = [row for row in desk.rows(model_decisions) if row.model_version_id == version]
    assert [(row.status, row.reason, row.figures) for row in kept] == [
        ("champion", "better", {"p": 0.01}), ("retired", "older", {}),
    ]  # fmt: skip
    assert {(row.decided_at, row.recorded_at) for row in kept} == {(MARKET, MACHINE)}


@pytest.mark.parametrize("statement", ["UPDATE model_decisions SET reason = 'x'", "DELETE FROM model_decisions"])
def test_decisions_are_append_only(desk: Desk, statement: str) -> None:
    add(desk, status=ModelStatus.CHAMPION)
    with (
        pytest.raises(DBAPIError, match="the ledger is append-only: model_decisions"),
        desk.database.transaction() as connection,
    ):
        connection.execute(text(statement))


def test_the_database_refuses_a_second_champion(desk: Desk) -> None:
    add(desk, status=ModelStatus.CHAMPION)
    with pytest.raises(IntegrityError):
        add(desk, status=ModelStatus.CHAMPION)
    add(desk, walk(Strategy.ONE_STEP), status=ModelStatus.CHAMPION)
    add(desk, status=ModelStatus.CHAMPION, group="crypto")


def test_a_new_version_and_a_decision_raise_the_change_counter(desk: Desk) -> None:
    before = sum(row.counter for row in desk.rows(change_counters))
    add(desk, status=ModelStatus.CHAMPION)
    assert sum(row.counter for row in desk.rows(change_counters)) == before + 2


def test_serving_versions_are_champion_newest_challenger_and_newest_random_walk(desk: Desk) -> None:
    serving = add(desk, status=ModelStatus.CHAMPION)
    add(desk, status=ModelStatus.CHALLENGER)
    newest = add(desk, status=ModelStatus.CHALLENGER)
    add(desk, walk(), status=ModelStatus.CHALLENGER)
    challenger = add(desk, walk(), status=ModelStatus.CHALLENGER)
    add(desk, status=ModelStatus.RETIRED)
    add(desk, status=ModelStatus.REJECTED)
    other = add(desk, walk(Strategy.ONE_STEP), status=ModelStatus.CHAMPION)
    add(desk, status=ModelStatus.CHAMPION, group="crypto")
    with desk.database.reading() as connection:
        found = serving_versions(connection, "equity")
        assert [version.id for version in found] == [serving, newest, challenger, other]
        assert [version.is_network for version in found] == [True, True, False, False]
        best = champion(connection, "equity", "multi_step")
        assert best is not None
        assert best.id == serving
        assert best.folder(Path("/other")) == Path("/other/lstm-multi_step-abc")


def test_an_empty_group_has_no_serving_version(desk: Desk) -> None:
    with desk.database.reading() as connection:
        assert serving_versions(connection, "equity") == ()
        assert champion(connection, "equity", "one_step") is None


def record_walk(desk: Desk) -> int:
    with desk.database.transaction() as connection:
        return add_random_walk(connection, "equity", walk(), MARKET, RECORDED)


def test_a_new_random_walk_replaces_the_older_ones(desk: Desk) -> None:
    other = add(desk, walk(Strategy.ONE_STEP), status=ModelStatus.CHAMPION)
    older = add(desk, walk(), status=ModelStatus.CHAMPION)
    challenger = add(desk, status=ModelStatus.CHALLENGER)
    new = record_walk(desk)
    stored = {row.id: (row.status, row.reason) for row in desk.rows(model_versions)}
    assert stored == {
        other: ("champion", "made champion"),
        older: ("retired", f"replaced by version {new}"),
        challenger: ("challenger", "made challenger"),
        new: ("champion", "the random walk serves until a network is trained and accepted"),
    }


def test_a_new_random_walk_is_challenger_while_a_network_serves(desk: Desk) -> None:
    older = add(desk, walk(), status=ModelStatus.CHALLENGER)
    network = add(desk, status=ModelStatus.CHAMPION)
    new = record_walk(desk)
    stored = {row.id: (row.status, row.reason) for row in desk.rows(model_versions)}
    assert stored == {
        older: ("retired", f"replaced by version {new}"),
        network: ("champion", "made champion"),
        new: ("challenger", "a network serves"),
    }
    decisions = [(row.model_version_id, row.status) for row in desk.rows(model_decisions)]
    assert decisions[-2:] == [(older, "retired"), (new, "challenger")]


def test_has_network_counts_retired_networks_but_no_random_walk(desk: Desk) -> None:
    def found() -> bool:
        with desk.database.reading() as connection:
            return has_network(connection, "equity")

    add(desk, walk(), status=ModelStatus.CHAMPION)
    assert found() is False
    add(desk, status=ModelStatus.RETIRED)
    assert found() is True


def test_version_ids_are_the_champions_and_challengers_of_a_kind(desk: Desk) -> None:
    first, second = add(desk, walk(), status=ModelStatus.CHALLENGER), add(desk, walk(), status=ModelStatus.CHAMPION)
    add(desk, walk(), status=ModelStatus.RETIRED)
    network = add(desk, status=ModelStatus.CHALLENGER)
    with desk.database.reading() as connection:
        assert version_ids(connection, "equity", "multi_step", network=False) == [first, second]
        assert version_ids(connection, "equity", "multi_step", network=True) == [network]


def test_the_folder_of_an_artifact_is_below_the_store(tmp_path: Path) -> None:
    assert artifact_folder(tmp_path, "lstm-one_step-0123abcd") == tmp_path / "lstm-one_step-0123abcd"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../other", "/etc", "a/b", "a\\b", "a\0", ".writing-x", "a" * 201, "a\n"]
)
def test_a_stored_name_that_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="is not the name of a folder"):
        artifact_folder(tmp_path, name)
