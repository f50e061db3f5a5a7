"""A spatiotemporal network from training to serving, and the forecaster of a symbol it has not seen."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import select, update

from service.db.session import Database
from service.db.tables import config_approvals, editions, forecasts, model_versions, served_forecasts
from service.market.instruments import add_symbols
from service.runtime.context import SUBSTITUTE
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, SmallNetworks, make_service

FIRST, LAST = date(2019, 6, 3), date(2024, 6, 28)
SERVED = "conv_lstm"
NEW_SINCE = "it is new since the conv_lstm was trained"


def served_on(service: Service, as_of: date) -> dict[tuple[str, str], tuple[str, str]]:
    query = (
        select(
            served_forecasts.c.symbol,
            served_forecasts.c.strategy,
            model_versions.c.forecaster,
            served_forecasts.c.reason,
        )
        .join(editions, editions.c.number == served_forecasts.c.edition)
        .join(model_versions, model_versions.c.id == served_forecasts.c.model_version_id)
        .where(editions.c.as_of == as_of)
    )
    with service.database.reading() as connection:
        return {(row.symbol, row.strategy): (row.forecaster, row.reason) for row in connection.execute(query)}


def accept_stand_in(service: Service) -> None:
    """Accept the stand-in's model configs, as if their test had passed."""
    with service.database.transaction() as connection:
        rows = connection.execute(
            select(config_approvals).where(config_approvals.c.forecaster == SUBSTITUTE)
        ).mappings().all()  # fmt: skip
        for row in rows:
            values = {**row, "id": None, "accepted": True, "reason": "accepted by the test"}
            connection.execute(config_approvals.insert().values(**{k: v for k, v in values.items() if k != "id"}))


def test_a_symbol_added_after_training_is_served_by_the_groups_lstm_once_accepted(
    migrated_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "network.db").write_bytes(migrated_file.read_bytes())
    source = RecordedWalks([Walk(name, FIRST, LAST, seed=seed) for seed, name in enumerate(("AAA", "BBB", "CCC"))])
    options = ServiceOptions("2024-03-01T22:30:00Z", ("AAA", "BBB"), {"network": SERVED})
    service = make_service(Database(f"sqlite:///{tmp_path / 'network.db'}"), tmp_path, source, options)
    service = replace(service, context=replace(service.context, child=SmallNetworks()))
    scheduler = service.scheduler()
    service.work(scheduler)
    with service.database.transaction() as connection:
        trained = connection.execute(select(model_versions)).all()
        decided = {row.forecaster for row in connection.execute(select(config_approvals))}
        walks = model_versions.c.forecaster == "random_walk"
        connection.execute(update(model_versions).where(walks).values(status="challenger"))
        frames = model_versions.c.forecaster == SERVED
        connection.execute(update(model_versions).where(frames).values(status="champion", reason="by the test"))
        add_symbols(connection, ["CCC"], service.context.market.now(connection), {})
    assert sorted({(row.forecaster, row.strategy) for row in trained if row.status != "retired"}) == [
        (name, strategy) for name in (SERVED, "lstm", "random_walk") for strategy in ("multi_step", "one_step")
    ]
    assert decided == {SERVED, "lstm"}

    service.move_market(datetime(2024, 3, 4, 22, 30, tzinfo=UTC))
    service.work(scheduler)
    monday = served_on(service, date(2024, 3, 4))
    assert {monday[symbol, strategy][0] for symbol in ("AAA", "BBB") for strategy in ("one_step", "multi_step")} == {
        SERVED
    }
    forecaster, reason = monday["CCC", "multi_step"]
    assert forecaster == "random_walk"
    assert reason.startswith(f"the random walk serves: {NEW_SINCE}")

    accept_stand_in(service)
    service.move_market(datetime(2024, 3, 5, 22, 30, tzinfo=UTC))
    service.work(scheduler)
    scheduler.close()
    tuesday = served_on(service, date(2024, 3, 5))
    assert tuesday["AAA", "multi_step"][0] == SERVED
    for strategy in ("one_step", "multi_step"):
        forecaster, reason = tuesday["CCC", strategy]
        assert forecaster == SUBSTITUTE
        assert reason.startswith(f"the lstm serves instead: {NEW_SINCE}")
    with service.database.reading() as connection:
        stored = connection.execute(select(forecasts.c.id).where(forecasts.c.as_of == date(2024, 3, 5))).all()
    # AAA and BBB by three forecasters, CCC by two; four steps over both strategies.
    assert len(stored) == (2 * 3 + 2) * 4
