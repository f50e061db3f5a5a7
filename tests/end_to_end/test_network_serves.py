"""A real, small network from training to serving, and the fallback when its artifact is altered."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from models.training.tasks import _loaded
from service.db.session import Database
from service.db.tables import (
    editions,
    forecasts,
    model_versions,
    run_outcomes,
    run_requests,
    runs,
    served_forecasts,
)
from service.forecasts.ledger import verify
from service.run_requests.store import NewRequest, write_request
from service.vocabulary import RequestKind
from tests.support.forecast_factory import sessions_until
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, SmallNetworks, make_service

FIRST, LAST = date(2019, 6, 3), date(2024, 6, 28)


def rows(service: Service, query: Any) -> list[Row[Any]]:
    with service.database.reading() as connection:
        return list(connection.execute(query).all())


def day(number: int, hour: int = 22, minute: int = 30) -> datetime:
    return datetime(2024, 3, number, hour, minute, tzinfo=UTC)


@pytest.fixture(scope="module")
def trained(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The random walk forecasts Friday; then the networks are trained and made champions despite the gate."""
    folder = tmp_path_factory.mktemp("network")
    (folder / "network.db").write_bytes(migrated_file.read_bytes())
    source = RecordedWalks([Walk("AAA", FIRST, LAST, seed=1), Walk("BBB", FIRST, LAST, seed=2)])
    options = ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB"))
    made = make_service(Database(f"sqlite:///{folder / 'network.db'}"), folder, source, options)
    made = replace(made, context=replace(made.context, child=SmallNetworks()))
    work(made)
    with made.database.transaction() as connection:
        walks = model_versions.c.forecaster == "random_walk"
        approval = model_versions.c.status.in_(("champion", "challenger"))
        connection.execute(update(model_versions).where(walks, approval).values(status="challenger"))
        serve = {"status": "champion", "reason": "made champion by the test"}
        connection.execute(update(model_versions).where(~walks).values(**serve))
    return made


def work(service: Service) -> None:
    scheduler = service.scheduler()
    service.work(scheduler)
    scheduler.close()


def served(service: Service, as_of: date) -> set[tuple[str, str, str]]:
    """Return symbol, forecaster and reason of all served forecasts of an as_of."""
    query = (
        select(served_forecasts.c.symbol, model_versions.c.forecaster, served_forecasts.c.reason)
        .join(editions, editions.c.number == served_forecasts.c.edition)
        .join(model_versions, model_versions.c.id == served_forecasts.c.model_version_id)
        .where(editions.c.as_of == as_of)
    )
    return {tuple(row) for row in rows(service, query)}


def test_training_stores_network_and_random_walk_with_decisions_and_figures(trained: Service) -> None:
    (run,) = rows(trained, select(runs).where(runs.c.job == "train"))
    assert (run.state, run.counts) == ("done", {"trained": 2, "versions": 4})
    networks = rows(trained, select(model_versions).where(model_versions.c.forecaster == "lstm"))
    assert sorted((row.strategy, row.horizon) for row in networks) == [("multi_step", 3), ("one_step", 1)]
    for row in networks:
        assert row.metrics["test_n"] > 0
        assert row.test_last < date(2024, 3, 1)
    assert len([sentence for sentence in trained.reporter.decisions if "pinball" in sentence]) == 2


def test_the_network_serves_and_the_random_walk_replaces_an_altered_artifact(trained: Service) -> None:
    trained.move_market(day(4))
    work(trained)
    monday = date(2024, 3, 4)
    reason = "made champion by the test"
    assert served(trained, monday) == {(symbol, "lstm", reason) for symbol in ("AAA", "BBB")}
    stored = rows(trained, select(forecasts.c.id).where(forecasts.c.as_of == monday))
    assert len(stored) == 2 * 4 * 2  # symbols, steps of both strategies, network and random walk

    originals: dict[Path, bytes] = {}
    for row in rows(trained, select(model_versions).where(model_versions.c.forecaster == "lstm")):
        weights = trained.context.settings.artifact_dir / row.artifact / "weights.npz"
        originals[weights] = weights.read_bytes()
        body = bytearray(originals[weights])
        body[len(body) // 2] ^= 1
        weights.chmod(0o644)
        weights.write_bytes(bytes(body))
    _loaded.cache_clear()  # as in a restarted worker
    trained.move_market(day(5))
    work(trained)
    tuesday = served(trained, date(2024, 3, 5))
    assert {(symbol, forecaster) for symbol, forecaster, _ in tuesday} == {
        ("AAA", "random_walk"),
        ("BBB", "random_walk"),
    }
    for _, _, why in tuesday:
        assert why.startswith("the random walk serves: ")
        assert "weights.npz" in why
        assert "\n" not in why
    assert any("cannot forecast" in notice and "weights.npz" in notice for notice in trained.reporter.notices)
    states = rows(trained, select(run_outcomes.c.state).join(runs, runs.c.id == run_outcomes.c.run_id).where(
        runs.c.job == "forecast"))  # fmt: skip
    assert {row.state for row in states} == {"forecast"}
    with trained.database.reading() as connection:
        assert verify(connection) == []
    for weights, content in originals.items():  # the next test forecasts with them
        weights.write_bytes(content)
    _loaded.cache_clear()


def test_a_symbol_added_later_is_served_by_the_network_from_250_sessions_without_a_training(trained: Service) -> None:
    """The network was not trained on it; with 249 sessions the random walk serves, from 60 on, with the reason."""
    source = trained.context.source
    assert isinstance(source, RecordedWalks)
    trainings = len(rows(trained, select(runs.c.id).where(runs.c.job == "train")))
    newest = trained.context.market_now().date()
    for seed, (symbol, count) in enumerate((("NEW250", 250), ("NEW249", 249), ("NEW60", 60)), start=10):
        source.put(Walk(symbol, sessions_until(newest, count)[0], LAST, seed=seed))
        with trained.database.transaction() as connection:
            new = NewRequest(RequestKind.ADD_SYMBOL, {"symbol": symbol})
            write_request(connection, new, trained.context.machine.now(connection))
    work(trained)
    states = rows(trained, select(run_requests.c.state, run_requests.c.error))
    assert [tuple(row) for row in states] == [("done", None)] * 3
    found = {(symbol, forecaster) for symbol, forecaster, _ in served(trained, newest) if symbol.startswith("NEW")}
    assert found == {("NEW250", "lstm"), ("NEW249", "random_walk"), ("NEW60", "random_walk")}
    reasons = {reason for symbol, _, reason in served(trained, newest) if symbol == "NEW249"}
    assert reasons == {f"the random walk serves: it has 249 bars up to {newest}; a network needs 250"}
    assert len(rows(trained, select(runs.c.id).where(runs.c.job == "train"))) == trainings
