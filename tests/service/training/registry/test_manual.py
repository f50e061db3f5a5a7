"""A person decides who serves."""

from datetime import date
from threading import Thread

import pytest

from models.config import Strategy
from service.db.tables import audit, config_approvals, model_versions
from service.errors import NotFound
from service.training.registry.approvals import ConfigKey, read_approval
from service.training.registry.manual import Change, promote_by_hand, roll_back
from service.training.registry.versions import Decision, Recorded, decide
from tests.support.forecast_factory import NOON, Desk, History, random_closes

RECORDED = Recorded(NOON, NOON, None)
ONE_STEP = Strategy.ONE_STEP


@pytest.fixture
def ready(desk: Desk) -> Desk:
    """Random walk 1 served first, then network 2; network 3 is a challenger."""
    desk.add(History("AAA", date(2018, 5, 31), random_closes(90, 1)))
    assert desk.add_walk(ONE_STEP) == 1
    promote(desk, 2, desk.add_network(ONE_STEP, "challenger"))
    assert desk.add_network(ONE_STEP, "challenger", seed=2) == 3
    return desk


def promote(desk: Desk, expected: int, version: int) -> Change:
    with desk.database.transaction() as connection:
        change = promote_by_hand(connection, version, "I say so", RECORDED)
    assert change.now.id == expected
    return change


def back(desk: Desk) -> Change:
    with desk.database.transaction() as connection:
        return roll_back(connection, "equity", "one_step", "worse since Monday", RECORDED)


def statuses(desk: Desk) -> dict[int, str]:
    return {row.id: row.status for row in desk.rows(model_versions)}


def test_a_version_is_put_in_anothers_place_with_the_reason_kept(ready: Desk) -> None:
    change = promote(ready, 3, 3)
    assert change.before is not None
    assert change.before.id == 2
    assert statuses(ready) == {1: "challenger", 2: "challenger", 3: "champion"}
    reasons = {row.id: row.reason for row in ready.rows(model_versions)}
    assert reasons[3] == "promoted manually: I say so"
    assert reasons[2] == "version 3 was promoted manually instead: I say so"
    last = ready.rows(audit)[-1]
    assert (last.action, last.subject) == ("models.promote", "equity one_step")
    assert last.detail == {"version": 3, "before": 2, "reason": "I say so"}


def test_the_one_before_serves_again_after_a_rollback_and_again_after_another(ready: Desk) -> None:
    promote(ready, 3, 3)
    assert back(ready).now.id == 2
    assert statuses(ready) == {1: "challenger", 2: "champion", 3: "challenger"}
    assert back(ready).now.id == 3


def test_a_training_that_decides_at_the_same_time_is_waited_for(ready: Desk) -> None:
    """Else a person would replace a champion that is none any more, and the database refuse two of them."""
    with ready.database.transaction() as connection:
        decide(connection, 2, Decision("retired", "replaced by version 3", {}), RECORDED)
        person = Thread(target=promote, args=(ready, 1, 1))
        person.start()
        person.join(0.5)
        assert person.is_alive()
        decide(connection, 3, Decision("champion", "a refit", {}), RECORDED)
    person.join(10)
    assert statuses(ready) == {1: "champion", 2: "retired", 3: "challenger"}


def test_back_to_the_random_walk_takes_the_recipes_acceptance_away(ready: Desk) -> None:
    assert back(ready).now.id == 1
    assert statuses(ready)[1] == "champion"
    (row,) = ready.rows(config_approvals)
    assert (row.kind, row.accepted, row.reason) == ("withdrawn", False, "withdrawn manually: worse since Monday")
    with ready.database.reading() as connection:
        approval = read_approval(connection, ConfigKey("equity", "one_step", row.config_hash, "lstm"))
    assert (approval.accepted, approval.may_attempt) == (False, False)


def test_from_one_network_to_another_the_acceptance_stands(ready: Desk) -> None:
    promote(ready, 3, 3)
    assert ready.rows(config_approvals) == []


def test_what_serves_already_is_left_alone(ready: Desk) -> None:
    before = statuses(ready), len(ready.rows(audit))
    change = promote(ready, 2, 2)
    assert change.before is not None
    assert change.before.id == 2
    assert (statuses(ready), len(ready.rows(audit))) == before


def test_what_is_not_there_is_said(desk: Desk) -> None:
    with pytest.raises(NotFound, match="there is no model version 7"), desk.database.transaction() as connection:
        promote_by_hand(connection, 7, "", RECORDED)
    with pytest.raises(NotFound, match="nothing serves equity one_step yet"):
        back(desk)
    desk.add_walk(ONE_STEP)
    with pytest.raises(NotFound, match="version 1 is the only one that ever served equity one_step"):
        back(desk)
