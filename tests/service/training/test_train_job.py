"""The train job: the forecasters it fits, the bars it uses, and the rows it records."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from shutil import copytree
from typing import Any, ClassVar, cast

import numpy as np
import pytest
from sqlalchemy import Connection, select, update

from models.config import ModelConfig, Strategy
from models.data_hash import panel_hash
from models.forecasting.network_forecaster import load_forecaster
from models.gate import Evidence, evaluate_config
from models.training.train import TrainedArtifact
from models.tuned_configs import tuned
from service.db.tables import config_approvals, instruments, model_decisions, model_versions, runs
from service.errors import FencedError
from service.execution.executor import Answer, Request, Task, TaskFailed
from service.market.instruments import list_instruments
from service.runs import Outcome
from service.training.registry.approvals import ConfigKey, record_attempt
from service.training.registry.versions import Recorded
from service.training.train_job import FitRequest, pooled_dates, record, train
from tests.support.forecast_factory import NOON, Desk, History, InProcess, random_closes, utc

LAST = date(2018, 5, 31)
EVENING = utc(2018, 5, 31, 22)


def run_training(desk: Desk, scope: str = "equity") -> dict[str, Outcome]:
    run = desk.run("train", LAST, scope)
    train(desk.context, run)
    return desk.outcomes(run)


def versions(desk: Desk) -> set[tuple[str, str, str]]:
    return {(row.strategy, row.forecaster, row.status) for row in desk.rows(model_versions)}


WALKS_SERVE = {("one_step", "random_walk", "champion"), ("multi_step", "random_walk", "champion")}


def members(connection: Connection, group: str) -> tuple[str, ...]:
    found = list_instruments(connection, group=group, active=True)
    return tuple(instrument.symbol for instrument in found if instrument.has_bars)


def test_a_group_with_a_short_history_gets_random_walks_and_the_reason(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(90, 1)))
    desk.add(History("BBB", LAST, random_closes(100, 2)))
    desk.move(EVENING)
    outcomes = run_training(desk)
    assert versions(desk) == WALKS_SERVE
    reason = "100 pooled sessions of the 1000 a network needs"
    assert {(outcome.symbol, outcome.state, outcome.reason) for outcome in outcomes.values()} == {
        ("AAA", "random_walk_only", reason), ("BBB", "random_walk_only", reason),
    }  # fmt: skip
    (run,) = desk.rows(runs)
    assert (run.state, run.counts) == ("done", {"random_walk_only": 2, "versions": 2})
    assert {sentence for _, _, sentence in desk.reporter.decisions} == {f"the random walk serves: {reason}"}


def test_group_other_is_never_trained_with_a_network(desk: Desk) -> None:
    desk.add(History("IDX", LAST, random_closes(1500, 1), group="other"))
    desk.move(EVENING)
    assert run_training(desk, "other")["IDX"].reason == "no network is trained for group other"
    assert versions(desk) == WALKS_SERVE


def test_the_reason_says_if_there_are_enough_bars_but_too_few_windows(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(1005, 1)))
    desk.move(EVENING)
    outcome = run_training(desk)["AAA"]
    assert outcome.state == "random_walk_only"
    assert outcome.reason is not None
    assert "1005 pooled sessions" not in outcome.reason
    assert "1000" in outcome.reason.replace(",", "")
    assert versions(desk) == WALKS_SERVE


class TrainedOnce(InProcess):
    """Trains equal networks only once for both databases, then copies their folders."""

    trained: ClassVar[dict[tuple[object, ...], TrainedArtifact]] = {}

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Train, or copy the artifacts of an equal training."""
        assert isinstance(request, tuple)
        keys = [
            (
                each.config.hash(),
                panel_hash(each.panel, each.cut_at),
                str(each.cut_at),
                each.with_evidence,
                each.predecessor,
            )
            for each in request
        ]
        if any(key not in self.trained for key in keys):
            answer: Any = super().run(task, request, report)
            self.trained.update(zip(keys, answer, strict=True))
            return cast(Answer, answer)
        self.requests.append(request)
        for key, each in zip(keys, request, strict=True):
            copytree(self.trained[key].path, each.directory / self.trained[key].path.name, dirs_exist_ok=True)
        copies = [replace(self.trained[key], path=each.directory / self.trained[key].path.name)
                  for key, each in zip(keys, request, strict=True)]  # fmt: skip
        return cast(Answer, tuple(copies))


def small_config(config: ModelConfig) -> ModelConfig:
    """Return the tuned config with a narrow layer and two epochs."""
    return replace(tuned(config), units=4, max_epochs=2)


def test_a_network_is_trained_and_tested_and_decided_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.runtime.context.tuned", small_config)
    once = TrainedOnce()
    desk = replace(desk, context=replace(desk.context, warm=once, child=once), worker=once)
    desk.add(History("AAA", LAST, random_closes(1300, 1)))
    desk.add(History("BBB", LAST, random_closes(1300, 2)))
    desk.move(EVENING)
    outcomes = run_training(desk)
    assert {outcome.state for outcome in outcomes.values()} == {"trained"}
    stored = {(row.strategy, row.forecaster): row for row in desk.rows(model_versions)}
    assert set(stored) == {(s.value, a) for s in Strategy for a in ("lstm", "random_walk")}
    for strategy in Strategy:
        network, walk = stored[(strategy.value, "lstm")], stored[(strategy.value, "random_walk")]
        tested = network.metrics["test"]
        # Generated random walks cannot be forecast, so the gate refuses the network.
        assert (network.status, walk.status) == ("challenger", "champion")
        assert network.reason.startswith(
            "not promoted: the model config does not beat the random walk over 252 sessions"
        )
        assert tested["dates"] == 252
        assert network.trained_at == datetime(2018, 5, 31, 21, 30, tzinfo=UTC)
        assert network.data_until <= network.trained_at
        assert (
            network.train_first < network.train_last < network.validation_first < network.test_first < network.test_last
        )
        forecaster = load_forecaster(desk.context.settings.artifact_dir / network.artifact, network.sha256)
        assert forecaster.config.seeds == (0,)
        assert forecaster.config.hash() == network.config_hash
    assert len(desk.rows(model_decisions)) == 4
    attempts = desk.rows(config_approvals)
    assert [(row.kind, row.attempt, row.accepted, row.sessions) for row in attempts] == [("attempt", 1, False, 252)] * 2
    assert {row.config_hash for row in attempts} == {
        row.config_hash for (_, name), row in stored.items() if name == "lstm"
    }
    assert {(group, strategy) for group, strategy, _ in desk.reporter.decisions} == {
        ("equity", "one_step"), ("equity", "multi_step"),
    }  # fmt: skip

    # A refused config is not tested again a week later.
    train(desk.context, desk.run("train", LAST, "equity", sequence=1))
    last = [request.with_evidence for request in desk.worker.requests[-1] if request.config.forecaster == "lstm"]
    assert last == [False, False]
    assert len(desk.rows(config_approvals)) == 2
    newest = desk.rows(model_versions, forecaster="lstm")[-1]
    assert "next attempt in 6" in newest.reason


def evidence(gain: float, days: int) -> Evidence:
    noise = np.random.default_rng(0).normal(size=days)
    walk = np.full(days, 39.0)
    return Evidence(np.datetime64("2017-01-01", "D") + np.arange(days), walk - gain + noise - noise.mean(), walk, 1)


def test_the_chosen_network_has_the_first_attempt_and_its_substitute_the_second(desk: Desk) -> None:
    walk = ModelConfig("random_walk", Strategy.ONE_STEP, lookback=1, seeds=(0,))
    made = TrainedArtifact(walk, Path("w"), "s", "d", None, None, None, None, {}, 0.0)
    chosen = replace(made, config=ModelConfig("conv_lstm", Strategy.ONE_STEP), evidence=evidence(0.5, 252))
    other = replace(made, config=ModelConfig("lstm", Strategy.ONE_STEP), evidence=evidence(0.5, 252))
    steps = [replace(each, config=replace(each.config, strategy=Strategy.MULTI_STEP)) for each in (made, chosen, other)]
    desk.add(History("AAA", LAST, random_closes(90, 1)))
    desk.move(EVENING)
    request, run = FitRequest("equity", ("AAA",), EVENING), desk.run("train", LAST, "equity")
    with desk.database.transaction() as connection:
        record(desk.context, connection, request, (made, chosen, other, *steps), run, {})
    attempts = {(row.strategy, row.forecaster): (row.attempt, row.level) for row in desk.rows(config_approvals)}
    assert attempts == {
        (strategy.value, name): (number, pytest.approx(level))
        for strategy in Strategy
        for name, number, level in (("conv_lstm", 1, 0.025), ("lstm", 2, 0.05 / 6))
    }


def test_a_champion_that_loses_live_is_demoted_even_if_its_config_is_no_longer_trained(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add(History("AAA", LAST, random_closes(90, 1)))
    desk.move(EVENING)
    former = desk.add_network(Strategy.ONE_STEP, "champion")
    (row,) = desk.rows(model_versions)
    key = ConfigKey("equity", "one_step", row.config_hash, "lstm")
    with desk.database.transaction() as connection:
        folds = evidence(0.5, 252)
        record_attempt(connection, key, folds, evaluate_config(folds, 1), Recorded(NOON, NOON, None))
    monkeypatch.setattr("service.training.promotion.gate.live_evidence", lambda *_: evidence(-0.5, 126))
    run_training(desk)
    assert [row.kind for row in desk.rows(config_approvals)] == ["attempt", "live"]
    assert ("one_step", "random_walk", "champion") in versions(desk)
    assert ("one_step", "lstm", "challenger") in versions(desk)
    decisions = [sentence for _, strategy, sentence in desk.reporter.decisions if strategy == "one_step"]
    assert decisions[0].startswith(
        f"the random walk serves: version {former} was withdrawn: the model config lost to the random"
    )


def test_bars_after_the_scheduled_instant_are_not_used(desk: Desk) -> None:
    closes = random_closes(400, 1)
    desk.add(History("AAA", LAST, closes))
    desk.move(EVENING)
    run_training(desk)
    first = {row.strategy: (row.data_hash, row.sha256) for row in desk.rows(model_versions)}
    desk.put("AAA", {date(2018, 6, 1): 500.0, date(2018, 6, 4): 1.0})
    desk.move(utc(2018, 6, 4, 22))
    run = desk.run("train", LAST, "equity", sequence=1)
    train(desk.context, run)
    again = {row.strategy: (row.data_hash, row.sha256) for row in desk.rows(model_versions) if row.status == "champion"}
    assert again == first


class Failing(InProcess):
    """Fails every task with a given error."""

    def __init__(self, error: TaskFailed) -> None:
        super().__init__()
        self.error = error

    def run(self, task: Task[Request, Answer], request: Request, report: Callable[[Any], None] | None = None) -> Answer:
        """Fail."""
        raise self.error


def test_another_failure_of_the_task_is_raised_with_its_message(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(90, 1)))
    desk.move(EVENING)
    failing = Failing(TaskFailed("no space left", "OSError"))
    object.__setattr__(desk.context, "warm", failing)
    run = desk.run("train", LAST, "equity")
    with pytest.raises(TaskFailed, match="no space left"):
        train(desk.context, run)
    assert desk.rows(model_versions) == []


def test_a_worker_whose_run_was_taken_over_records_nothing(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(90, 1)))
    desk.move(EVENING)
    run = desk.run("train", LAST, "equity")
    with desk.database.transaction() as connection:
        connection.execute(update(runs).values(token=run.token + 1))
    with pytest.raises(FencedError):
        train(desk.context, run)
    assert desk.rows(model_versions) == []


def test_the_active_symbols_of_a_group_and_their_pooled_dates(desk: Desk) -> None:
    desk.add(History("AAA", LAST, random_closes(50, 1)))
    desk.add(History("BBB", date(2018, 5, 30), random_closes(49, 2)))
    desk.add(History("OFF", LAST, random_closes(80, 3), active=False))
    desk.add(History("BTC-USD", LAST, random_closes(80, 4), calendar="24/7", group="crypto"))
    desk.add(History("NEW", LAST, [1.0]))
    with desk.database.transaction() as connection:
        connection.execute(update(instruments).where(instruments.c.symbol == "NEW").values(first_session=None))
    with desk.database.reading() as connection:
        assert members(connection, "equity") == ("AAA", "BBB")
        assert pooled_dates(connection, "equity") == 50


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # its table's collation can be altered in place
def test_the_order_of_the_symbols_does_not_depend_on_the_databases_collation(desk: Desk) -> None:
    for seed, symbol in enumerate(("AAA", "CCC", "bbb")):
        desk.add(History(symbol, LAST, random_closes(50, seed)))
    with closing(sqlite3.connect(str(desk.database.engine.url.database))) as raw, raw:
        raw.execute("PRAGMA writable_schema = ON")
        result = raw.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'symbol VARCHAR(40)', 'symbol VARCHAR(40) COLLATE NOCASE') "
            "WHERE name = 'instruments'"
        )
        assert result.rowcount == 1
    desk.database.engine.dispose()
    with desk.database.transaction() as connection:
        connection.exec_driver_sql("REINDEX")
        query = select(instruments.c.symbol).order_by(instruments.c.symbol)
        assert list(connection.execute(query).scalars()) == ["AAA", "bbb", "CCC"]
        assert members(connection, "equity") == ("AAA", "CCC", "bbb")
