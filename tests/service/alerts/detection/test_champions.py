"""Champions that change: by a decision of the gate or of a person."""

from pathlib import Path

from models.config import Strategy
from service.training.registry.manual import PersonsReason, promote_manually
from service.training.registry.versions import Recorded
from service.vocabulary import AlertKind
from tests.support.alert_factory import deliveries, events, subscribe
from tests.support.forecast_factory import NOON, Desk


def promote(desk: Desk, version: int) -> None:
    with desk.database.transaction() as connection:
        promote_manually(connection, version, PersonsReason("better by review"), Recorded(NOON, NOON, None))


def test_a_network_that_replaces_the_walk_is_an_event_and_the_same_again_is_none(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.CHAMPION_CHANGED)
    assert desk.add_network(Strategy.ONE_STEP, "challenger") == 2
    promote(desk, 2)
    promote(desk, 2)
    (event,) = events(desk.database, AlertKind.CHAMPION_CHANGED)
    assert event["message"] == (
        "equity one_step: lstm (version 2) serves instead of random_walk (version 1): "
        "promoted manually: better by review"
    )
    assert (event["group"], event["model_version_id"], event["before_forecaster"]) == ("equity", 2, "random_walk")


def test_a_new_fit_of_the_random_walk_and_the_first_champion_are_no_events(desk: Desk, tmp_path: Path) -> None:
    subscribe(desk.database, tmp_path, AlertKind.CHAMPION_CHANGED)
    assert desk.add_walk(Strategy.ONE_STEP, "challenger", "newer") == 2
    promote(desk, 2)
    assert desk.add_walk(Strategy.MULTI_STEP, name="first") == 3
    assert deliveries(desk.database) == []
