"""The initial calibration of a new forecaster from its test span."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.baselines import fit_random_walk, random_walk_config
from models.calibration import CalibrationState, JointState, calibrated_after, holdout_state
from models.config import TEST_SESSIONS, Strategy
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.splits import Spans, holdout_spans
from models.preprocessing.windows import PooledWindows
from models.training.train import TrainRequest, train_random_walk
from tests.support.factories import make_panel

PANEL = make_panel(1_150, seed=3, symbols=("AAA", "BBB"), tokyo=())
CUT = PANEL.histories[0].final_at[-1]
CONFIG = random_walk_config(Strategy.MULTI_STEP)


def windows_and_spans() -> tuple[PooledWindows, Spans]:
    windows = cut_windows(PANEL, CONFIG, require_targets=True)
    return windows, holdout_spans(windows, CUT)


def test_the_state_learns_from_each_session_of_the_test_span_and_no_other() -> None:
    windows, spans = windows_and_spans()
    walk = fit_random_walk(PANEL, CONFIG, spans.train_until)
    span = windows.select(spans.test)
    state = holdout_state(span, walk.at(span.sigma))
    assert [step.days for step in state.steps] == [TEST_SESSIONS] * 3
    assert state.joint.factors != JointState().factors
    assert (state.joint.held, state.joint.days) == ((0.0, 0.0, 0.0), 0)


def test_intervals_that_are_too_narrow_start_wider() -> None:
    windows, spans = windows_and_spans()
    span = windows.select(spans.test)
    normal = np.array([-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964])
    scale = span.sigma[:, None, None] * np.sqrt([1.0, 2.0, 3.0])[:, None]
    narrow, wide = (holdout_state(span, factor * normal * scale) for factor in (0.5, 2.0))
    assert all(width > 0.3 for step in narrow.steps for width in step.width[:2])
    assert all(width < 0 for step in wide.steps for width in step.width)


def test_a_span_is_calibrated_from_the_span_before_and_without_look_ahead() -> None:
    windows, spans = windows_and_spans()
    earlier, span = windows.select(spans.validation), windows.select(spans.test)
    normal = np.array([-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964])
    raw, earlier_raw = (
        0.5 * normal * part.sigma[:, None, None] * np.sqrt([1.0, 2.0, 3.0])[:, None] for part in (span, earlier)
    )
    found = calibrated_after(earlier, earlier_raw, span, raw)
    first = span.as_of == span.as_of.min()
    assert (found[first, 0, 6] > 1.2 * raw[first, 0, 6]).all()
    middle = np.unique(span.final_at)[100]
    later = np.where(span.target_final_at > middle, 50.0, span.targets)
    changed = calibrated_after(earlier, earlier_raw, replace(span, targets=later), raw)
    np.testing.assert_array_equal(changed[span.final_at <= middle], found[span.final_at <= middle])
    assert not np.array_equal(changed, found)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_training_stores_the_state_in_its_metrics(tmp_path: Path, strategy: Strategy) -> None:
    trained = train_random_walk(TrainRequest(PANEL, random_walk_config(strategy), CUT, tmp_path))
    state = CalibrationState.from_dict(trained.metrics["calibration"])
    assert [step.days for step in state.steps] == [TEST_SESSIONS] * strategy.horizon
