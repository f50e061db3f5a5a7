"""The leaderboard recovers the known properties of simulated panels."""

import numpy as np
import pandas as pd
import pytest

from models.backtest.analysis.comparison_set import ComparisonSet, comparison_sets
from models.backtest.analysis.leaderboard import Leaderboard, Line, rank
from models.backtest.analysis.scores import score_entry
from tests.support.backtest_factory import Maker, rows_of, simulate, table_from, table_of

PANEL = simulate(symbols=10, sessions=400)
WALK = Maker("random_walk", lookback=1)


@pytest.fixture(scope="module")
def comparison() -> ComparisonSet:
    makers = (WALK, Maker("lstm", insight=0.1), Maker("garch", width=0.7, raw_width=0.5), Maker("drift", copy=1.0))
    return comparison_sets(table_from(PANEL, *makers))[0]


@pytest.fixture(scope="module")
def ranked(comparison: ComparisonSet) -> Leaderboard:
    return rank(comparison, None, ("lstm",))


def line(ranked: Leaderboard, forecaster: str) -> Line:
    (found,) = [each for each in ranked.lines if each.entry.forecaster == forecaster]
    return found


def test_the_best_is_first_and_the_best_network_is_champion(ranked: Leaderboard) -> None:
    assert [each.entry.forecaster for each in ranked.lines] == ["lstm", "random_walk", "garch", "drift"]
    assert ranked.champion is not None
    assert ranked.champion.forecaster == "lstm"
    assert ranked.notes == ()


def test_a_calibrated_forecaster_has_nominal_coverage(ranked: Leaderboard) -> None:
    coverage = line(ranked, "random_walk").scores.coverage
    for shares in (coverage.overall, *coverage.by_step.values(), *coverage.by_tercile.values()):
        for nominal, share in shares.items():
            assert share.low - 0.015 < nominal / 100 < share.high + 0.015
    assert line(ranked, "random_walk").scores.pit == pytest.approx(
        (0.025, 0.075, 0.15, 0.25, 0.25, 0.15, 0.075, 0.025), abs=0.012
    )


def test_an_overconfident_forecaster_has_too_low_a_coverage_in_all_terciles(ranked: Leaderboard) -> None:
    # 0.7 of the true width: P(|z| < 0.7 * 0.6745), 0.7 * 1.2816, 0.7 * 1.9600
    scores = line(ranked, "garch").scores
    for shares in (scores.coverage.overall, *scores.coverage.by_tercile.values()):
        assert [shares[50].value, shares[80].value, shares[95].value] == pytest.approx([0.363, 0.630, 0.830], abs=0.025)
    assert scores.raw_coverage is not None
    assert scores.raw_coverage.overall[80].value == pytest.approx(0.478, abs=0.02)  # P(|z| < 0.6408)
    assert scores.raw_pinball > scores.pinball


def test_a_tenth_of_insight_lowers_the_errors_by_a_tenth(ranked: Leaderboard) -> None:
    lstm = line(ranked, "lstm")
    for part in ("overall", "1", "2", "3"):
        assert lstm.rmse_ratio[part].value == pytest.approx(0.9)
        assert lstm.mae_ratio[part].value == pytest.approx(0.9)
        assert lstm.rmse_ratio[part].high < 1
        assert lstm.ratio[part].high < 1
    overall = lstm.against_walk["overall"]
    assert overall is not None
    assert overall.p < 1e-6
    assert overall.difference < 0
    assert lstm.against_champion == {}
    assert lstm.direction["1"] is not None
    assert lstm.direction["1"].hits == 1.0


def test_a_median_equal_to_the_walks_has_the_walks_errors(ranked: Leaderboard) -> None:
    garch = line(ranked, "garch")
    assert garch.rmse_ratio["2"].value == pytest.approx(1.0)
    assert garch.direction["1"] is None or np.isnan(garch.direction["1"].statistic)
    test = garch.against_champion["overall"]
    assert test is not None
    assert test.statistic > 0
    assert line(ranked, "random_walk").against_walk == {}


def test_a_copy_is_worse_and_detected(ranked: Leaderboard) -> None:
    drift = line(ranked, "drift")
    # the error of T is the difference of two returns: sqrt(2) of the walk's
    assert drift.rmse_ratio["1"].value == pytest.approx(1.414, abs=0.06)
    assert drift.rmse_ratio["1"].low > 1
    assert drift.copy is not None
    assert (drift.copy.kind, drift.copy.suspicious) == ("return", True)
    direction = drift.direction["1"]
    assert direction is not None
    assert abs(direction.clustered) < 3


def test_pinned_is_the_walk_before_its_calibration() -> None:
    walk = Maker("random_walk", lookback=1, width=1.0, raw_width=2.0)
    comparison = comparison_sets(table_from(PANEL, walk, Maker("lstm")))[0]
    lstm = line(rank(comparison, None, ()), "lstm")
    assert lstm.ratio["overall"].value == pytest.approx(1.0)
    wide = score_entry(comparison, 1)
    assert lstm.ratio_pinned["overall"] == pytest.approx(wide.pinball / wide.raw_pinball)
    assert lstm.ratio_pinned["overall"] < 0.9


def test_scores_have_the_literal_values() -> None:
    # one symbol, one day, one step: quantiles -3..3 %, outcome 0.5 %
    frame = rows_of(simulate(1, 5), Maker("random_walk", "one_step")).iloc[:1].copy()
    for name, value in zip(("q025", "q10", "q25", "q50", "q75", "q90", "q975"), range(-3, 4), strict=True):
        frame[name] = value / 100
    frame["actual"] = 0.005
    scores = score_entry(comparison_sets(table_of(frame))[0], 0)
    assert scores.pinball == pytest.approx(130 / 7)
    assert scores.winkler == {80: pytest.approx(400.0), 95: pytest.approx(600.0)}
    assert (scores.rmse, scores.mae) == (pytest.approx(50.0), pytest.approx(50.0))
    assert scores.pit == (0, 0, 0, 0, 1, 0, 0, 0)


def test_without_a_random_walk_the_other_figures_remain() -> None:
    ranked = rank(comparison_sets(table_from(PANEL, Maker("lstm")))[0], None, ("lstm",))
    assert (ranked.lines[0].ratio, ranked.lines[0].against_walk, ranked.lines[0].rmse_ratio) == ({}, {}, {})
    assert ranked.lines[0].scores.pinball > 0
    assert "there is no random_walk on these rows" in ranked.notes[0]


def test_a_single_symbol_and_few_days_are_noted() -> None:
    short = simulate(symbols=1, sessions=10)  # 6 as_of sessions
    ranked = rank(comparison_sets(table_from(short, WALK, Maker("lstm")))[0], None, ("lstm",))
    assert ranked.notes == (
        "these rows cover 6 days; tests and intervals over 3 steps need 7 and are left out",
        "these rows are of S00 only; the results are about one symbol, not about a market",
    )
    lstm = line(ranked, "lstm")
    assert lstm.against_walk["overall"] is None
    assert lstm.against_walk["1"] is not None
    assert np.isnan(lstm.ratio["overall"].low)


def test_a_champion_by_name() -> None:
    comparison = comparison_sets(table_from(PANEL, WALK, Maker("lstm"), Maker("garch")))[0]
    assert rank(comparison, "garch", ("lstm",)).champion == comparison.entries[0]
    ranked = rank(comparison, "arima", ("lstm",))
    assert ranked.champion is None
    assert "there is no forecaster named arima" in ranked.notes[0]


def test_the_order_of_rows_changes_nothing() -> None:
    frame = pd.concat([rows_of(simulate(3, 60), maker) for maker in (WALK, Maker("lstm", insight=0.05))])
    straight = rank(comparison_sets(table_of(frame))[0], None, ("lstm",))
    shuffled = rank(comparison_sets(table_of(frame.sample(frac=1, random_state=4)))[0], None, ("lstm",))
    assert repr(straight) == repr(shuffled)  # NaN differs from itself
