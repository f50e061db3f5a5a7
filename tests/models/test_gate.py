"""The gate: tests of a model config and of a refit."""

import numpy as np
import pytest

from models.gate import (
    ALPHA,
    MARGIN,
    MIN_SESSIONS,
    Evidence,
    daily_evidence,
    evaluate_config,
    evaluate_refit,
    live_loss_reason,
    significance_level,
)

FIRST = np.datetime64("2015-01-01", "D")


def evidence(gain: float, sessions: int = 252, seed: int = 0, horizon: int = 3) -> Evidence:
    """Return daily losses of a config that is `gain` bp better on average, with daily differences of deviation 1."""
    draw = np.random.default_rng(seed)
    walk = 39.0 + draw.normal(0.0, 5.0, sessions)
    return Evidence(FIRST + np.arange(sessions), walk - gain + draw.normal(0.0, 1.0, sessions), walk, horizon)


def test_the_levels_of_all_attempts_sum_to_less_than_alpha() -> None:
    assert significance_level(1) == pytest.approx(0.025)
    assert significance_level(2) == pytest.approx(0.05 / 6)
    assert sum(significance_level(attempt) for attempt in range(1, 10_000)) < ALPHA


def test_a_clear_gain_is_accepted_and_the_reason_has_the_figures() -> None:
    result = evaluate_config(evidence(0.5), 1)
    assert result.accepted
    assert result.p is not None
    assert result.p < 1e-4
    assert result.skill == pytest.approx(0.5 / 39.0, abs=0.005)
    assert "beats the random walk over 252 sessions" in result.reason
    assert "p < 0.0001 (limit 0.025, attempt 1)" in result.reason
    assert (result.sessions, result.level) == (252, 0.025)


def test_a_significant_loss_is_not_accepted() -> None:
    result = evaluate_config(evidence(-0.5), 1)
    assert not result.accepted
    assert result.p is not None
    assert 0.999 < result.p <= 1
    assert result.reason.startswith("the model config does not beat the random walk over 252 sessions: pinball ")


@pytest.mark.parametrize("gain", [-0.02, 0.0, 0.02, 0.1])
def test_the_p_of_a_config_and_of_its_opposite_add_up_to_one(gain: float) -> None:
    mine = evidence(gain)
    opposite = Evidence(mine.days, mine.walk, mine.loss, mine.horizon)
    first, second = evaluate_config(mine, 1).p, evaluate_config(opposite, 1).p
    assert first is not None
    assert second is not None
    assert first + second == pytest.approx(1, abs=1e-12)


def test_too_few_sessions_are_not_tested() -> None:
    result = evaluate_config(evidence(5.0, MIN_SESSIONS - 1), 1)
    assert not result.accepted
    assert result.p is None
    assert result.reason == "249 sessions of evidence; the test of a model config needs 250"
    assert (result.accepted, result.sessions, result.level) == (False, 249, 0.025)
    assert result.skill == pytest.approx(5 / 39, abs=0.01)
    assert evaluate_config(evidence(5.0, MIN_SESSIONS), 1).accepted


def test_a_later_attempt_needs_a_lower_p() -> None:
    # A mean gain of 0.16 with deviation 1 over 252 days: t about 2.5, p between the levels of attempts 1 and 3.
    draw = np.random.default_rng(1)
    noise = draw.normal(size=252)
    noise = (noise - noise.mean()) / noise.std()
    walk = np.full(252, 39.0)
    near = Evidence(FIRST + np.arange(252), walk - 0.14 + noise, walk, 1)
    assert evaluate_config(near, 1).accepted
    assert not evaluate_config(near, 3).accepted


def test_a_config_without_skill_is_rarely_accepted_in_many_attempts() -> None:
    accepted = 0
    for group in range(400):
        accepted += any(evaluate_config(evidence(0.0, 252, 1_000 * group + k), k).accepted for k in range(1, 7))
    assert accepted / 400 < ALPHA + 3 * (ALPHA * (1 - ALPHA) / 400) ** 0.5


def test_losses_are_averaged_per_day() -> None:
    days = np.array(["2015-01-02", "2015-01-01", "2015-01-02"], "datetime64[D]")
    found = daily_evidence(days, np.array([1.0, 5.0, 3.0]), np.array([2.0, 4.0, 4.0]), 1)
    assert found.days.tolist() == [np.datetime64("2015-01-01").item(), np.datetime64("2015-01-02").item()]
    assert found.loss.tolist() == [5.0, 2.0]
    assert found.walk.tolist() == [4.0, 3.0]
    assert found.horizon == 1


def test_a_day_without_both_losses_is_left_out() -> None:
    days = np.array(["2015-01-01", "2015-01-02"], "datetime64[D]")
    found = daily_evidence(days, np.array([1.0, np.nan]), np.array([np.nan, 1.0]), 1)
    assert len(found) == 0
    assert not evaluate_config(found, 1).accepted


def test_live_scores_replace_a_fold_of_the_same_day() -> None:
    folds = Evidence(FIRST + np.arange(3), np.array([1.0, 2.0, 3.0]), np.array([9.0, 9.0, 9.0]), 3)
    live = Evidence(FIRST + np.arange(2, 4), np.array([7.0, 8.0]), np.array([6.0, 5.0]), 3)
    both = folds.with_later(live)
    assert both.days.tolist() == (FIRST + np.arange(4)).tolist()
    assert both.loss.tolist() == [1.0, 2.0, 7.0, 8.0]
    assert both.walk.tolist() == [9.0, 9.0, 6.0, 5.0]
    assert both.horizon == 3


def test_evidence_is_stored_as_plain_values() -> None:
    stored = Evidence(FIRST + np.arange(2), np.array([1.5, 2.0]), np.array([9.0, 8.25]), 3).to_dict()
    assert stored == {"days": ["2015-01-01", "2015-01-02"], "loss": [1.5, 2.0], "walk": [9.0, 8.25], "horizon": 3}


def test_a_config_that_loses_live_loses_its_approval() -> None:
    assert live_loss_reason(evidence(-0.5, 126)) is not None
    assert "lost to the random walk over 126 live sessions" in str(live_loss_reason(evidence(-0.5, 126)))


def test_a_config_stays_while_its_loss_is_insignificant_or_sessions_are_few() -> None:
    assert live_loss_reason(evidence(-0.5, 125)) is None
    assert live_loss_reason(evidence(0.0, 252)) is None
    assert live_loss_reason(evidence(0.5, 252)) is None


def test_a_refit_may_be_worse_by_the_margin_only() -> None:
    assert MARGIN == 0.01
    within = "pinball 40.40 bp on 1 forecasts unseen by both is within 1% of its predecessor's 40.00 bp"
    assert evaluate_refit(40.4, 40.0, 1) == (True, within)
    passes, sentence = evaluate_refit(40.41, 40.0, 500)
    assert not passes
    assert sentence == "pinball 40.41 bp on 500 forecasts unseen by both is beyond 1% of its predecessor's 40.00 bp"


def test_a_refit_without_unseen_sessions_does_not_pass() -> None:
    reason = "there is no session that neither version was trained or validated on"
    assert evaluate_refit(float("nan"), float("nan"), 0) == (False, reason)
    assert evaluate_refit(40.0, 40.0, 0) == (False, reason)
