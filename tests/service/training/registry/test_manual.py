"""Manual promotion and rollback."""

from datetime import date
from threading import Thread

import pytest

from models.config import Strategy
from service.audit import Author
from service.db.tables import audit, config_approvals, model_versions
from service.errors import NotFound
from service.training.registry.approvals import ConfigKey, read_approval
from service.training.registry.manual import Change, PersonsReason, pin, promote_manually, roll_back, unpin
from service.training.registry.versions import Decision, Recorded, decide
from service.vocabulary import ModelStatus
from tests.support.forecast_factory import NOON, Desk, History, random_closes

RECORDED = Recorded(NOON, NOON, None)
ONE_STEP = Strategy.ONE_STEP


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """Return a desk where random walk 1 served, then network 2; network 3 is a challenger."""
    desk.add(History("AAA", date(2018, 5, 31), random_closes(90, 1)))
    assert desk.add_walk(ONE_STEP) == 1
    promote(desk, 2, desk.add_network(ONE_STEP, "challenger"))
    assert desk.add_network(ONE_STEP, "challenger", seed=2) == 3
    return desk


def promote(desk: Desk, expected: int, version: int) -> Change:
    with desk.database.transaction() as connection:
        change = promote_manually(connection, version, PersonsReason("better by review"), RECORDED)
    assert change.now.id == expected
    return change


def rolled_back(desk: Desk) -> Change:
    with desk.database.transaction() as connection:
        return roll_back(connection, "equity", "one_step", PersonsReason("worse since Monday"), RECORDED)


def statuses(desk: Desk) -> dict[int, str]:
    return {row.id: row.status for row in desk.rows(model_versions)}


def test_a_promotion_replaces_the_champion_and_stores_the_reason(ready: Desk) -> None:
    change = promote(ready, 3, 3)
    assert change.before is not None
    assert change.before.id == 2
    assert statuses(ready) == {1: "challenger", 2: "challenger", 3: "champion"}
    reasons = {row.id: row.reason for row in ready.rows(model_versions)}
    assert reasons[3] == "promoted manually: better by review"
    assert reasons[2] == "version 3 was promoted manually instead: better by review"
    last = ready.rows(audit)[-1]
    assert (last.action, last.subject) == ("models.promote", "equity one_step")
    assert last.detail == {"version": 3, "before": 2, "reason": "better by review"}


def test_a_rollback_promotes_the_previous_champion_and_a_second_one_the_other(ready: Desk) -> None:
    promote(ready, 3, 3)
    assert rolled_back(ready).now.id == 2
    assert statuses(ready) == {1: "challenger", 2: "champion", 3: "challenger"}
    assert rolled_back(ready).now.id == 3


def test_a_promotion_waits_for_the_decisions_of_a_concurrent_training(ready: Desk) -> None:
    """Otherwise it would replace a former champion, and the database would refuse a second one."""
    with ready.database.transaction() as connection:
        decide(connection, 2, Decision(ModelStatus.RETIRED, "replaced by version 3", {}), RECORDED)
        person = Thread(target=promote, args=(ready, 1, 1))
        person.start()
        person.join(0.5)
        assert person.is_alive()
        decide(connection, 3, Decision(ModelStatus.CHAMPION, "a refit", {}), RECORDED)
    person.join(10)
    assert statuses(ready) == {1: "champion", 2: "retired", 3: "challenger"}


def test_a_rollback_to_the_random_walk_withdraws_the_approval(ready: Desk) -> None:
    assert rolled_back(ready).now.id == 1
    assert statuses(ready)[1] == "champion"
    (row,) = ready.rows(config_approvals)
    assert (row.kind, row.accepted, row.reason) == ("withdrawn", False, "withdrawn manually: worse since Monday")
    with ready.database.reading() as connection:
        approval = read_approval(connection, ConfigKey("equity", "one_step", row.config_hash, "lstm"))
    assert (approval.accepted, approval.may_attempt) == (False, False)


def test_a_promotion_of_another_network_keeps_the_approval(ready: Desk) -> None:
    promote(ready, 3, 3)
    assert ready.rows(config_approvals) == []


def test_a_promotion_of_the_champion_changes_nothing(ready: Desk) -> None:
    before = statuses(ready), len(ready.rows(audit))
    change = promote(ready, 2, 2)
    assert change.before is not None
    assert change.before.id == 2
    assert (statuses(ready), len(ready.rows(audit))) == before


def test_a_missing_version_or_champion_is_an_error(desk: Desk) -> None:
    with pytest.raises(NotFound, match="there is no model version 7"), desk.database.transaction() as connection:
        promote_manually(connection, 7, PersonsReason(""), RECORDED)
    with pytest.raises(NotFound, match="nothing serves equity one_step yet"):
        rolled_back(desk)
    desk.add_walk(ONE_STEP)
    with pytest.raises(NotFound, match="version 1 is the only one that ever served equity one_step"):
        rolled_back(desk)


def test_a_pin_and_its_end_are_stored_with_their_authors(ready: Desk) -> None:
    with ready.database.transaction() as connection:
        pin(connection, 2, PersonsReason("known in crises", Author("robot", "abc")), RECORDED)
    assert {row.id: row.pinned_at for row in ready.rows(model_versions)} == {1: None, 2: NOON, 3: None}
    last = ready.rows(audit)[-1]
    assert (last.actor, last.action, last.subject, last.request_id) == ("robot", "models.pin", "equity one_step", "abc")
    assert last.detail == {"version": 2, "reason": "known in crises"}
    with ready.database.transaction() as connection:
        unpin(connection, 2, PersonsReason("the crisis is over"), RECORDED)
    assert [row.pinned_at for row in ready.rows(model_versions)] == [None, None, None]
    assert ready.rows(audit)[-1].action == "models.unpin"
    with ready.database.transaction() as connection, pytest.raises(NotFound, match="version 2 is not pinned"):
        unpin(connection, 2, PersonsReason("again"), RECORDED)


def test_only_the_version_that_serves_can_be_pinned(ready: Desk) -> None:
    with (
        ready.database.transaction() as connection,
        pytest.raises(NotFound, match=r"version 3 does not serve equity one_step \(it is challenger\)"),
    ):
        pin(connection, 3, PersonsReason("mine"), RECORDED)


def test_a_promotion_ends_the_pin_of_the_version_before(ready: Desk) -> None:
    with ready.database.transaction() as connection:
        pin(connection, 2, PersonsReason("known"), RECORDED)
    promote(ready, 3, 3)
    assert [row.pinned_at for row in ready.rows(model_versions)] == [None, None, None]
