"""Forecasts of a group: which versions forecast, which one is served, and the reason."""

from datetime import date

from sqlalchemy import insert, update

from models.config import Strategy
from service.db.tables import bars, config_approvals, forecasts, instruments, model_versions, served_forecasts
from service.training.registry.approvals import approval_key
from service.training.registry.versions import Decision, Recorded, decide, read_version
from service.vocabulary import ModelStatus
from tests.support.forecast_factory import NOON, Desk, History, random_closes, sessions_until, utc

AS_OF = date(2018, 5, 31)
EVENING = utc(2018, 5, 31, 22)


def retire(desk: Desk, version: int) -> None:
    with desk.database.transaction() as connection:
        decide(connection, version, Decision(ModelStatus.RETIRED, "old", {}), Recorded(NOON, NOON, None))


def forecasters(desk: Desk, symbol: str, strategy: str) -> set[tuple[int, str]]:
    names = {row.id: row.forecaster for row in desk.rows(model_versions)}
    return {
        (row.model_version_id, names[row.model_version_id])
        for row in desk.rows(forecasts, symbol=symbol, strategy=strategy)
    }


def fit_walks(desk: Desk) -> None:
    """Publish an edition of the session before, which fits the random walks."""
    desk.move(utc(2018, 5, 30, 22))
    desk.forecast(date(2018, 5, 30))


def demote_walk(desk: Desk, strategy: str) -> None:
    with desk.database.transaction() as connection:
        connection.execute(
            update(model_versions)
            .where(model_versions.c.strategy == strategy, model_versions.c.forecaster == "random_walk")
            .values(status="challenger")
        )


def add_champion(desk: Desk, strategy: Strategy = Strategy.MULTI_STEP) -> int:
    """Add a network as champion, with the random walk as challenger; return its id."""
    fit_walks(desk)
    demote_walk(desk, strategy.value)
    return desk.add_network(strategy, "champion")


def test_champion_newest_challenger_and_random_walk_are_stored(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    champion = add_champion(desk)
    older = desk.add_network(Strategy.MULTI_STEP, "challenger", seed=2)
    newer = desk.add_network(Strategy.MULTI_STEP, "challenger", seed=3)
    retired = desk.add_network(Strategy.MULTI_STEP, "challenger", seed=4)
    retire(desk, retired)
    desk.move(EVENING)
    desk.forecast(AS_OF)
    stored = {
        (row.model_version_id, row.step)
        for row in desk.rows(forecasts, as_of=AS_OF, strategy="multi_step")
    }  # fmt: skip
    (walk,) = [
        row.id for row in desk.rows(model_versions, strategy="multi_step") if row.forecaster == "random_walk"
    ]  # fmt: skip
    assert stored == {(version, step) for version in (champion, newer, walk) for step in (1, 2, 3)}
    assert older not in {version for version, _ in stored}
    assert desk.served(2)[("AAA", "multi_step")] == ("lstm", "lstm is champion")
    assert desk.served(2)[("AAA", "one_step")][0] == "random_walk"


def test_a_challenger_is_stored_but_not_served(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    fit_walks(desk)
    challenger = desk.add_network(Strategy.ONE_STEP, "challenger")
    desk.move(EVENING)
    desk.forecast(AS_OF)
    assert (challenger, "lstm") in forecasters(desk, "AAA", "one_step")
    assert desk.served(2)[("AAA", "one_step")] == (
        "random_walk",
        "the random walk serves until a network is trained and accepted",
    )


def test_a_missing_bar_in_the_window_is_the_reason_for_the_random_walk(desk: Desk) -> None:
    closes: list[float | None] = [*random_closes(320, 1)]
    missing = sessions_until(AS_OF, 3)[0]
    closes[-3] = None
    desk.add(History("AAA", AS_OF, closes))
    desk.add(History("BBB", AS_OF, random_closes(320, 2)))
    champion = add_champion(desk)
    desk.move(EVENING)
    assert {outcome.state for outcome in desk.forecast(AS_OF).values()} == {"forecast"}
    served = desk.served(2)
    assert served[("BBB", "multi_step")] == ("lstm", "lstm is champion")
    assert served[("AAA", "multi_step")] == (
        "random_walk",
        f"the random walk serves: the bar of {missing} is missing from the window of 5 sessions up to 2018-05-31",
    )
    stored = desk.rows(forecasts, symbol="AAA", as_of=AS_OF)
    assert champion not in {row.model_version_id for row in stored}


def test_a_short_history_is_the_reason_for_the_random_walk(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(249, 1)))
    desk.add(History("BBB", AS_OF, random_closes(250, 2)))
    add_champion(desk)
    desk.move(EVENING)
    desk.forecast(AS_OF)
    assert desk.served(2)[("AAA", "multi_step")] == (
        "random_walk",
        "the random walk serves: it has 249 bars up to 2018-05-31; a network needs 250",
    )
    assert desk.served(2)[("BBB", "multi_step")][0] == "lstm"


def test_a_network_that_cannot_be_loaded_does_not_stop_the_others(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    champion = add_champion(desk)
    (row,) = desk.rows(model_versions, id=champion)
    weights = desk.context.settings.artifact_dir / row.artifact / "weights.npz"
    weights.write_bytes(weights.read_bytes() + b"x")
    desk.move(EVENING)
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"
    forecaster, reason = desk.served(2)[("AAA", "multi_step")]
    assert forecaster == "random_walk"
    assert reason.startswith("the random walk serves: artifact file ")
    assert "weights.npz was altered" in reason
    assert [notice for notice in desk.reporter.notices if f"model version {champion} cannot forecast" in notice]


def test_if_no_artifact_can_be_loaded_the_random_walk_is_fitted_again(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    desk.add_walk(Strategy.ONE_STEP)
    desk.add_walk(Strategy.MULTI_STEP)
    desk.add_network(Strategy.MULTI_STEP, "challenger")
    desk.move(EVENING)
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"
    served = {row.model_version_id for row in desk.rows(served_forecasts)}
    assert len(served) == 2
    assert min(served) > 3  # neither of the two random walks that cannot be loaded, nor the challenger
    assert {row.model_version_id for row in desk.rows(forecasts)} == served | {3}


def test_a_forecast_stores_the_unadjusted_close_and_the_basis(desk: Desk) -> None:
    closes = random_closes(80, 1)
    desk.add(History("AAA", AS_OF, closes))
    desk.act("AAA", AS_OF, "dividend", 1.0)
    with desk.database.transaction() as connection:
        connection.execute(update(instruments).values(basis=3))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    assert {(row.last_close, row.basis) for row in desk.rows(forecasts)} == {(closes[-1], 3)}


def test_a_stale_symbol_is_served_by_the_random_walk_with_the_reason(desk: Desk) -> None:
    """BBB repeats its close without volume for 15 sessions; AAA trades."""
    for symbol, seed in (("AAA", 1), ("BBB", 2)):
        closes = random_closes(320, seed)
        desk.add(History(symbol, AS_OF, closes if symbol == "AAA" else [*closes[:305], *[closes[304]] * 15]))
    with desk.database.transaction() as connection:
        frozen = (bars.c.symbol == "BBB", bars.c.session >= sessions_until(AS_OF, 15)[0])
        connection.execute(update(bars).where(*frozen).values(volume=0.0))
    add_champion(desk)
    desk.move(EVENING)
    assert {outcome.state for outcome in desk.forecast(AS_OF).values()} == {"forecast"}
    served = desk.served(2)
    assert served[("AAA", "multi_step")] == ("lstm", "lstm is champion")
    assert served[("BBB", "multi_step")] == (
        "random_walk",
        "the random walk serves: 15 of its last 20 bars up to 2018-05-31 repeat the close before without volume; "
        "a network needs a symbol that trades",
    )


def accept(desk: Desk, version: int) -> None:
    """Record that the gate accepted a version's config."""
    with desk.database.transaction() as connection:
        found = read_version(connection, version)
        assert found is not None
        key = approval_key(found)
        connection.execute(
            insert(config_approvals).values(
                group=key.group, strategy=key.strategy, config_hash=key.config_hash, forecaster=key.forecaster,
                kind="attempt", attempt=1, accepted=True, sessions=60, reason="by the test", evidence={},
                decided_at=NOON, recorded_at=NOON,
            )
        )  # fmt: skip


def replace_champion(desk: Desk, old: int, seed: int) -> int:
    """Retire a champion and make a new network champion, as a refit does."""
    with desk.database.transaction() as connection:
        decide(connection, old, Decision(ModelStatus.RETIRED, "replaced", {}), Recorded(NOON, NOON, None))
    return desk.add_network(Strategy.MULTI_STEP, "champion", seed=seed)


def flip(desk: Desk, version: int) -> None:
    """Change one byte of a version's weights."""
    with desk.database.reading() as connection:
        found = read_version(connection, version)
    assert found is not None
    weights = found.folder(desk.context.settings.artifact_dir) / "weights.npz"
    body = bytearray(weights.read_bytes())
    body[len(body) // 2] ^= 1
    weights.write_bytes(body)


def rename(desk: Desk, version: int, name: str) -> None:
    """Change the name of a version's artifact in its row."""
    with desk.database.transaction() as connection:
        connection.execute(update(model_versions).where(model_versions.c.id == version).values(artifact=name))


def test_the_champion_before_an_altered_one_serves(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    first = add_champion(desk)
    accept(desk, first)
    second = replace_champion(desk, first, seed=2)
    third = replace_champion(desk, second, seed=3)
    flip(desk, third)
    rename(desk, second, "../../elsewhere")
    desk.move(EVENING)
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"
    (served,) = desk.rows(served_forecasts, strategy="multi_step", edition=2)
    assert served.model_version_id == first
    assert served.reason.startswith(f"version {first}, the champion before it, serves: artifact file ")
    assert "weights.npz was altered" in served.reason
    assert forecasters(desk, "AAA", "multi_step") >= {(first, "lstm")}
    assert any(
        f"version {second} cannot forecast: the artifact name '../../elsewhere'" in n for n in desk.reporter.notices
    )


def test_a_champion_before_that_is_not_accepted_any_more_does_not_serve(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    first = add_champion(desk)
    flip(desk, replace_champion(desk, first, seed=2))
    desk.move(EVENING)
    desk.forecast(AS_OF)
    assert desk.served(2)[("AAA", "multi_step")][0] == "random_walk"


def test_a_path_in_the_row_of_one_version_does_not_stop_the_others(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    champion = add_champion(desk)
    rename(desk, champion, "/etc")
    desk.move(EVENING)
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"
    forecaster, reason = desk.served(2)[("AAA", "multi_step")]
    assert forecaster == "random_walk"
    assert "the artifact name '/etc' is not the name of a folder" in reason


def test_the_path_of_a_random_walk_is_refused_and_it_is_fitted_again(desk: Desk) -> None:
    desk.add(History("AAA", AS_OF, random_closes(320, 1)))
    fit_walks(desk)
    walk = desk.rows(model_versions, strategy="one_step")[0].id
    rename(desk, walk, "..")
    desk.move(EVENING)
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"
    assert forecasters(desk, "AAA", "one_step") == {(walk, "random_walk"), (walk + 2, "random_walk")}
