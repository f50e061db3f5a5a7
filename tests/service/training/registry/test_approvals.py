"""Approvals of model configs, and when a new attempt is allowed."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from sqlalchemy.exc import DBAPIError

from models.gate import ATTEMPT_INTERVAL, Evidence, evaluate_config
from service.db.tables import config_approvals
from service.training.registry.approvals import (
    Approval,
    ConfigKey,
    read_approval,
    record_attempt,
    record_withdrawal,
)
from service.training.registry.versions import Recorded
from service.vocabulary import ApprovalKind
from tests.support.forecast_factory import NOON, Desk, History, random_closes, sessions_until

KEY = ConfigKey("equity", "one_step", "r1", "lstm")
RECORDED = Recorded(NOON, NOON, None)
LAST = date(2018, 5, 31)


def approval(desk: Desk, key: ConfigKey = KEY) -> Approval:
    with desk.database.reading() as connection:
        return read_approval(connection, key)


def attempt(desk: Desk, gain: float, last: date, key: ConfigKey = KEY) -> None:
    """Record an attempt whose evidence ends with a session."""
    noise = np.random.default_rng(0).normal(size=252)
    noise -= noise.mean()
    days = np.datetime64(last, "D") - np.arange(252)[::-1]
    walk = np.full(252, 39.0)
    evidence = Evidence(days, walk - gain + noise, walk, 1)
    with desk.database.transaction() as connection:
        number = read_approval(connection, key).attempts + 1
        record_attempt(connection, key, evidence, evaluate_config(evidence, number), RECORDED)


def with_sessions_after(desk: Desk, n: int) -> date:
    """Add a history and return the session that `n` of its sessions follow."""
    desk.add(History("AAA", LAST, random_closes(200, 1)))
    return sessions_until(LAST, n + 1)[0]


def test_an_untested_config_may_be_attempted(desk: Desk) -> None:
    found = approval(desk)
    assert (found.accepted, found.attempts, found.may_attempt) == (False, 0, True)


def test_an_accepted_config_is_not_attempted_again(desk: Desk) -> None:
    attempt(desk, 0.5, with_sessions_after(desk, 100))
    found = approval(desk)
    assert (found.accepted, found.attempts, found.may_attempt) == (True, 1, False)
    assert found.figures["config_sessions"] == 252


def test_a_refused_config_waits_for_a_quarter_of_new_sessions(desk: Desk) -> None:
    attempt(desk, 0.0, with_sessions_after(desk, ATTEMPT_INTERVAL - 1))
    found = approval(desk)
    assert (found.accepted, found.may_attempt) == (False, False)
    assert found.reason.endswith("; next attempt in 1 sessions")


def test_a_second_attempt_is_allowed_after_a_quarter_at_a_lower_level(desk: Desk) -> None:
    last = with_sessions_after(desk, ATTEMPT_INTERVAL)
    attempt(desk, 0.0, last)
    assert approval(desk).may_attempt
    attempt(desk, 0.15, LAST)
    (first, second) = desk.rows(config_approvals)
    assert (first.attempt, second.attempt) == (1, 2)
    assert second.level == pytest.approx(0.05 / 6)
    # p is between the two levels: low enough for a first attempt, not for a second one.
    assert second.level < second.p < first.level
    assert not second.accepted


@pytest.mark.parametrize("days", [0, 100])
def test_an_attempt_with_too_few_sessions_does_not_count_but_delays_the_next(desk: Desk, days: int) -> None:
    last = with_sessions_after(desk, 0)
    losses = np.full(days, 39.0)
    few = Evidence(np.datetime64(last, "D") - np.arange(days)[::-1], losses - 1.0, losses, 1)
    with desk.database.transaction() as connection:
        record_attempt(connection, KEY, few, evaluate_config(few, 1), RECORDED)
    found = approval(desk)
    assert (found.accepted, found.attempts, found.may_attempt) == (False, 0, False)


def test_another_config_may_be_attempted_immediately_and_counts(desk: Desk) -> None:
    attempt(desk, 0.0, with_sessions_after(desk, 10))
    other = approval(desk, replace(KEY, config_hash="r2"))
    assert (other.may_attempt, other.attempts) == (True, 1)
    assert approval(desk, replace(KEY, strategy="multi_step")).attempts == 0


@pytest.mark.parametrize("kind", [ApprovalKind.LIVE, ApprovalKind.WITHDRAWN])
def test_a_withdrawn_config_waits_like_a_refused_one(desk: Desk, kind: ApprovalKind) -> None:
    attempt(desk, 0.5, with_sessions_after(desk, 100))
    with desk.database.transaction() as connection:
        record_withdrawal(connection, KEY, kind, "it lost", RECORDED)
    found = approval(desk)
    assert (found.accepted, found.attempts, found.may_attempt) == (False, 1, False)
    assert found.reason == f"it lost; next attempt in {ATTEMPT_INTERVAL} sessions"


def test_attempts_are_append_only_and_stored_with_their_evidence(desk: Desk) -> None:
    attempt(desk, 0.5, with_sessions_after(desk, 100))
    (row,) = desk.rows(config_approvals)
    again = Evidence(
        np.array(row.evidence["days"], "datetime64[D]"),
        np.array(row.evidence["loss"]),
        np.array(row.evidence["walk"]),
        row.evidence["horizon"],
    )
    assert evaluate_config(again, row.attempt).p == pytest.approx(row.p)
    with pytest.raises(DBAPIError, match="append-only"), desk.database.transaction() as connection:
        connection.execute(config_approvals.delete())
