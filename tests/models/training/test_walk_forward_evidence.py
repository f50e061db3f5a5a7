"""The folds on which a model config is tested."""

from dataclasses import dataclass

import numpy as np
import pytest

from models.baselines import RandomWalk, fit_random_walk, random_walk_config
from models.config import ModelConfig
from models.errors import TooLittleHistory
from models.gate import MIN_SESSIONS
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import FloatArray, Panel
from models.preprocessing.splits import Spans
from models.preprocessing.windows import PooledWindows
from models.training.walk_forward_evidence import FOLD_SESSIONS, FOLDS, evidence_spans, gather_evidence
from tests.support.factories import make_panel, make_recipe

NEVER = np.datetime64("2100-01-01T00:00:00")


@pytest.fixture(scope="module")
def windows() -> PooledWindows:
    return cut_windows(make_panel(1200, seed=1), make_recipe(), require_targets=True)


def test_the_folds_together_have_enough_sessions_for_a_decision() -> None:
    assert FOLDS * FOLD_SESSIONS >= MIN_SESSIONS


def test_the_folds_walk_forward_to_the_end_without_a_gap(windows: PooledWindows) -> None:
    first, second = evidence_spans(windows, NEVER)
    dates = np.unique(windows.as_of)
    assert first.test_dates == (dates[-252], dates[-127])
    assert second.test_dates == (dates[-126], dates[-1])
    assert first.validation_dates == (dates[-252 - 3 - 63], dates[-252 - 3 - 1])
    assert second.train_dates == (dates[0], dates[-126 - 3 - 63 - 3 - 1])


def test_nothing_of_a_fold_is_final_after_its_test_begins(windows: PooledWindows) -> None:
    last = windows.target_final_at.max(axis=1)
    for spans in evidence_spans(windows, NEVER):
        assert last[spans.train | spans.validation].max() <= windows.final_at[spans.test].min()
        assert not (spans.train & spans.validation).any()
        assert not (spans.validation & spans.test).any()


def test_targets_final_after_the_cut_are_left_out(windows: PooledWindows) -> None:
    cut = np.unique(windows.target_final_at.max(axis=1))[-60]
    *_, newest = evidence_spans(windows, cut)
    assert windows.target_final_at.max(axis=1)[newest.test].max() <= cut


def test_a_thousand_dates_are_needed(windows: PooledWindows) -> None:
    dates = np.unique(windows.as_of)
    assert len(evidence_spans(windows.select(windows.as_of < dates[1000]), NEVER)) == FOLDS
    with pytest.raises(TooLittleHistory, match=r"999 distinct as_of dates have final targets by .*needs 1000"):
        evidence_spans(windows.select(windows.as_of < dates[999]), NEVER)


@dataclass
class Scaled:
    """A fitted network that forecasts like the random walk, with all intervals scaled by a factor."""

    windows: PooledWindows
    walk: RandomWalk
    factor: float


def test_both_are_calibrated_as_they_would_be_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a random walk whose intervals have drifted would be too easy to beat."""
    config, panel = make_recipe(), make_panel(1200, seed=1)

    def fit(panel: Panel, config: ModelConfig, spans: Spans, *_: object) -> Scaled:
        walk = fit_random_walk(panel, random_walk_config(config.strategy), spans.validation_until)
        return Scaled(cut_windows(panel, config, require_targets=True), walk, factor)

    def forecast(fitted: Scaled, windows: PooledWindows) -> tuple[PooledWindows, list[FloatArray]]:
        return windows, [fitted.factor * fitted.walk.at(windows.sigma)]

    monkeypatch.setattr("models.training.walk_forward_evidence.forecast_windows", forecast)
    losses = {}
    for factor in (1.0, 0.6):
        found = gather_evidence(panel, config, NEVER, lambda *_: None, fit)
        losses[factor] = found.loss.mean() / found.walk.mean()
    assert losses[1.0] == pytest.approx(1.0, abs=1e-12)
    assert losses[0.6] < 1.015
