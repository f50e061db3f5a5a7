"""Model age, lookbacks, seeds and strategies, on literal figures and on simulated panels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from models.backtest.analysis.ablations import disagreements, lookback_ablation, model_ages, seed_spread, skill_by_age
from models.backtest.analysis.comparison_set import comparison_sets
from models.backtest.analysis.rolling_skill import rolling_skill
from tests.support.backtest_factory import Maker, rows_of, simulate, table_from, table_of

PANEL = simulate(symbols=4, sessions=154)  # 150 as_of sessions
WALK = Maker("random_walk")


def test_the_age_is_one_on_the_first_as_of_of_a_fit() -> None:
    small = simulate(symbols=2, sessions=11)  # as_of sessions 1..7
    frame = rows_of(small, Maker("lstm", "one_step", refit=3))
    frame = frame[(frame["symbol"] != "S01") | (frame["as_of"] > small.sessions[2])]  # S01 joins on the third
    (comparison,) = comparison_sets(table_of(frame))
    ages = model_ages(comparison, 0)
    by_symbol = {name: ages[comparison.symbol == index].tolist() for index, name in enumerate(comparison.symbols)}
    assert by_symbol == {"S00": [1, 2, 3, 1, 2, 3, 1], "S01": [3, 1, 2, 3, 1]}


def test_rows_without_a_fold_have_no_age() -> None:
    (comparison,) = comparison_sets(table_from(PANEL, WALK, Maker("lstm")))
    assert set(model_ages(comparison, 0)) == {0}
    assert skill_by_age(comparison) == ()


def test_skill_is_measured_per_bucket_of_age() -> None:
    (comparison,) = comparison_sets(table_from(PANEL, WALK, Maker("lstm", refit=75, insight=0.1)))
    figures = skill_by_age(comparison)
    # two fits of 75 sessions: ages 1 | 2-5 | 6-20 | 21-60 | 61-75, 4 symbols, 3 steps
    assert [(each.age, each.days, each.rows) for each in figures] == [
        ("1", 2, 24),
        ("2-5", 8, 96),
        ("6-20", 30, 360),
        ("21-60", 80, 960),
        ("over 60", 30, 360),
    ]
    assert all(0.05 < each.skill < 0.15 for each in figures)


def test_the_skill_of_an_ageing_fit_falls() -> None:
    young, old = (rows_of(PANEL, Maker("lstm", refit=75, width=width)) for width in (1.0, 3.0))
    fresh = pd.to_datetime(young["as_of"]) <= pd.Timestamp(PANEL.sessions[60])
    mixed = pd.concat([young[fresh], old[~fresh]])
    mixed = mixed[mixed["as_of"] <= PANEL.sessions[75]]
    (comparison,) = comparison_sets(table_of(pd.concat([rows_of(PANEL, WALK), mixed])))
    skills = {each.age: each.skill for each in skill_by_age(comparison)}
    assert skills["21-60"] == pytest.approx(0.0, abs=1e-12)
    assert skills["over 60"] < -0.5


def test_lookbacks_are_compared_with_the_usual_one() -> None:
    makers = [Maker("lstm", lookback=days, insight=gain) for days, gain in ((22, 0.0), (1, 0.05), (5, 0.1))]
    (comparison,) = comparison_sets(table_from(PANEL, WALK, *makers))
    figures = lookback_ablation(comparison)
    assert [each.entry.lookback for each in figures] == [1, 5, 22]
    assert figures[1].against_usual is None
    assert figures[2].ratio == pytest.approx(1.0)
    longer = figures[2].against_usual
    assert longer is not None
    assert longer.statistic > 3
    assert lookback_ablation(comparison_sets(table_from(PANEL, WALK))[0]) == ()


def test_the_spread_of_seeds_is_measured() -> None:
    seeds = [replace(WALK, forecaster="lstm", seed=seed, width=width) for seed, width in ((3, 1.0), (4, 1.5))]
    table = table_from(PANEL, WALK, *seeds)
    (figure,) = seed_spread(table)
    assert (figure.entry.forecaster, sorted(figure.pinball), figure.rows) == ("lstm", [3, 4], 1800)
    assert figure.spread == pytest.approx(figure.pinball[4] - figure.pinball[3])
    assert figure.spread > 0
    assert seed_spread(table_from(PANEL, WALK)) == ()


def test_strategies_that_agree_and_disagree() -> None:
    one = Maker("lstm", "one_step")
    (same,) = disagreements(table_from(PANEL, Maker("lstm"), one))
    assert (same.step, same.rows, same.median_gap, same.opposite) == (1, 600, 0.0, 0.0)
    assert (same.first.strategy, same.second.strategy) == ("one_step", "multi_step")
    assert np.isnan(same.correlation)
    (apart,) = disagreements(table_from(PANEL, Maker("lstm", insight=0.1), replace(one, insight=-0.1, width=1.2)))
    assert (apart.opposite, apart.correlation) == (1.0, pytest.approx(-1.0))
    assert apart.width_gap == pytest.approx(0.2)
    # the medians differ by 0.2 |z| sigma, and the mean of |z| is sqrt(2 / pi); sigma is that of T itself
    assert apart.median_gap_sigma == pytest.approx(0.2 * 0.7978846, abs=0.02)
    assert apart.pinball[0] > apart.pinball[1]


def test_recursive_and_multi_step_are_compared_on_all_steps() -> None:
    found = disagreements(table_from(PANEL, Maker("lstm"), Maker("lstm", "recursive", insight=0.1)))
    assert [each.step for each in found] == [1, 2, 3]


def test_rolling_skill_has_the_literal_values() -> None:
    frame = rows_of(simulate(symbols=1, sessions=8), Maker("random_walk", "one_step"))  # 4 as_of sessions
    names = ("q025", "q10", "q25", "q50", "q75", "q90", "q975")
    walk, lstm = frame.copy(), frame.assign(forecaster="lstm")
    for part, misses in ((walk, (1.0, 2.0, 3.0, 4.0)), (lstm, (0.5, 2.0, 6.0, 4.0))):
        part["actual"] = 0.5
        for name in names:  # all quantiles are equal: the loss is half the error
            part[name] = 0.5 - np.array(misses)
    (comparison,) = comparison_sets(table_of(pd.concat([walk, lstm])))
    (figure,) = rolling_skill(comparison, 2)
    # windows of two: (.5 + 2) / 3, (2 + 6) / 5, (6 + 4) / 7
    assert figure.skill == pytest.approx([1 - 2.5 / 3, 1 - 8 / 5, 1 - 10 / 7])
    assert figure.behind == pytest.approx(2 / 3)
    assert figure.last.tolist() == frame["as_of"].dt.date.tolist()[1:]
    assert rolling_skill(comparison, 5) == ()
