"""A network other than the default, set by TPLUS_NETWORK, from training to the published forecasts."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from models.forecasting.artifact import load_artifact
from service.db.session import Database
from service.db.tables import editions, forecasts, model_versions, served_forecasts
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import ServiceOptions, SmallNetworks, make_service

FIRST, LAST = date(2019, 6, 3), date(2024, 6, 28)
WINDOW = 40
"""35 sessions of warm-up and the 5 of TPLUS_LOOKBACK."""


@pytest.mark.slow
def test_the_stateful_network_trains_and_serves_from_its_warm_up(migrated_file: Path, tmp_path: Path) -> None:
    (tmp_path / "network.db").write_bytes(migrated_file.read_bytes())
    source = RecordedWalks([Walk("AAA", FIRST, LAST, seed=1), Walk("BBB", FIRST, LAST, seed=2)])
    options = ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB"), {"network": "stateful_lstm"})
    service = make_service(Database(f"sqlite:///{tmp_path / 'network.db'}"), tmp_path, source, options)
    service = replace(service, context=replace(service.context, child=SmallNetworks()))
    scheduler = service.scheduler()
    service.work(scheduler)
    decided = [sentence for sentence in service.reporter.decisions if "pinball" in sentence]
    assert len(decided) == 2
    assert all("stateful_lstm" in sentence for sentence in decided)

    is_network = model_versions.c.forecaster == "stateful_lstm"
    with service.database.transaction() as connection:
        networks = connection.execute(select(model_versions).where(is_network)).all()
        approval = model_versions.c.status.in_(("champion", "challenger"))
        connection.execute(update(model_versions).where(~is_network, approval).values(status="challenger"))
        connection.execute(update(model_versions).where(is_network).values(status="champion", reason="by the test"))
    assert sorted((row.strategy, row.lookback) for row in networks) == [("multi_step", WINDOW), ("one_step", WINDOW)]
    for row in networks:
        artifact = load_artifact(service.context.settings.artifact_dir / row.artifact, row.sha256)
        assert (artifact.config.lookback, artifact.pipeline["lookback"]) == (WINDOW, WINDOW)

    service.move_market(datetime(2024, 3, 4, 22, 30, tzinfo=UTC))
    service.work(scheduler)
    scheduler.close()
    monday = date(2024, 3, 4)
    with service.database.reading() as connection:
        served = connection.execute(
            select(served_forecasts.c.symbol, served_forecasts.c.strategy, model_versions.c.forecaster)
            .join(editions, editions.c.number == served_forecasts.c.edition)
            .join(model_versions, model_versions.c.id == served_forecasts.c.model_version_id)
            .where(editions.c.as_of == monday)
        ).all()
        stored = connection.execute(select(forecasts.c.id).where(forecasts.c.as_of == monday)).all()
    assert {tuple(row) for row in served} == {
        (symbol, strategy, "stateful_lstm") for symbol in ("AAA", "BBB") for strategy in ("one_step", "multi_step")
    }
    assert len(stored) == 2 * 4 * 2  # symbols, steps of both strategies, network and random walk
