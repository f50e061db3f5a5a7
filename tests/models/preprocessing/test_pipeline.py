"""The pipeline: fitted before the cut, with the same inputs in serving as in training."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.config import INPUT_MEMORY, MEMORY, Inputs
from models.errors import ArtifactError, TooLittleHistory
from models.preprocessing.pipeline import Pipeline, cut_windows
from models.preprocessing.price_history import Panel
from tests.support.factories import SPY, VIX, after, last_rows, make_frame, make_panel, make_recipe, with_changes

CUT = np.datetime64("2001-06-01T00:00:00")


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make_panel(420, seed=3)


@pytest.fixture(scope="module")
def pipeline(panel: Panel) -> Pipeline:
    return Pipeline.fit(panel, make_recipe(), CUT)


def test_columns_and_masks(pipeline: Pipeline) -> None:
    assert len(pipeline.feature_names) == 14
    assert pipeline.mask_columns == ((8, 9, 10), (11, 12, 13))
    assert pipeline.feature_names[10] == "SPY.present"
    assert pipeline.feature_names[13] == "^VIX.present"
    assert pipeline.trained_references == ("SPY", "^VIX")


def test_inputs_are_centred_on_the_train_span_never_stretched_and_finite(panel: Panel, pipeline: Pipeline) -> None:
    windows = pipeline.windows(panel, require_targets=True)
    assert windows.inputs.shape == (3 * 420, 14)
    assert np.isfinite(windows.inputs).all()
    assert np.abs(windows.inputs).max() <= 6
    fitted = windows.inputs[windows.ends[windows.final_at <= CUT]]
    np.testing.assert_allclose(fitted[:, :8].mean(axis=0), 0, atol=0.15)
    assert (fitted[:, :8].std(axis=0) <= 1.15).all()


def test_statistics_stop_at_the_cut(panel: Panel, pipeline: Pipeline) -> None:
    changed = Panel(
        tuple(with_changes(frame, after(frame, CUT), 1) for frame in panel.histories),
        {symbol: with_changes(frame, after(frame, CUT), 2) for symbol, frame in panel.references.items()},
    )
    assert Pipeline.fit(changed, make_recipe(), CUT) == pipeline
    assert Pipeline.fit(panel, make_recipe(), CUT + np.timedelta64(30, "D")) != pipeline


@pytest.mark.parametrize("inputs", list(Inputs))
def test_inputs_computed_once_for_both_give_the_bits_of_the_history_that_ends_at_the_cut(
    panel: Panel, inputs: Inputs
) -> None:
    config = replace(make_recipe(), inputs=inputs)
    fitted, windows = Pipeline.fit_windows(panel, config, CUT, require_targets=True)
    assert fitted == Pipeline.fit(panel, config, CUT)
    apart = fitted.windows(panel, require_targets=True)
    for name in ("inputs", "ends", "targets", "sigma", "as_of", "target_final_at"):
        np.testing.assert_array_equal(getattr(windows, name), getattr(apart, name))


def test_a_session_final_exactly_at_the_cut_enters_the_statistics(panel: Panel) -> None:
    at = panel.histories[0].final_at[300]
    before, second = at - np.timedelta64(1, "s"), np.timedelta64(1, "s")
    fitted = Pipeline.fit(panel, make_recipe(), at)
    assert fitted != Pipeline.fit(panel, make_recipe(), before)
    assert fitted == Pipeline.fit(panel, make_recipe(), at + second)


def test_windows_without_inputs_are_the_same_windows(panel: Panel, pipeline: Pipeline) -> None:
    alone = cut_windows(panel, make_recipe(), require_targets=True)
    windows = pipeline.windows(panel, require_targets=True)
    for name in ("ends", "sigma", "targets", "symbol_index", "as_of", "final_at", "target_final_at"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(windows, name))
    assert alone.inputs.shape == (3 * 420, 0)


@pytest.mark.parametrize("rows", [420, 310, MEMORY + 5])
def test_the_newest_window_equals_the_training_window_of_that_session(
    panel: Panel, pipeline: Pipeline, rows: int
) -> None:
    newest, skipped = pipeline.newest(last_rows(panel, rows))
    assert skipped == ()
    windows = pipeline.windows(panel, require_targets=False)
    last = np.array([np.flatnonzero(windows.symbol_index == index)[-1] for index in range(3)])
    assert newest.gather().shape == (3, 5, 14)
    np.testing.assert_allclose(newest.gather(), windows.select(last).gather(), atol=1e-6)
    np.testing.assert_allclose(newest.sigma, windows.sigma[last], rtol=1e-9)
    assert newest.as_of.tolist() == windows.as_of[last].tolist()
    assert newest.final_at.tolist() == windows.final_at[last].tolist()


def test_a_longer_history_gives_bit_for_bit_the_same_own_inputs(panel: Panel, pipeline: Pipeline) -> None:
    whole, _ = pipeline.newest(panel)
    short, _ = pipeline.newest(Panel(last_rows(panel, MEMORY + 5).histories, panel.references))
    np.testing.assert_array_equal(whole.gather(), short.gather())


@pytest.mark.parametrize(
    ("n", "holes", "reason"),
    [
        (300, [299], "the bar of 2001-02-23 is missing"),
        (300, [296], "the bar of 2001-02-20 is missing from the window of 5 sessions up to 2001-02-23"),
        (249, [], "it has 249 bars up to 2000-12-14; a network needs 250"),
        (251, [3, 4], "it has 249 bars"),
        (600, range(356, 595), "too many of the 245 sessions"),
        (0, [], "no sessions"),
    ],
)
def test_a_skipped_symbol_has_a_reason_that_names_what_is_missing(
    pipeline: Pipeline, n: int, holes: list[int], reason: str
) -> None:
    refused = make_frame("BAD", 600, 1, holes=[hole for hole in holes]).until(n)
    served = make_frame("GOOD", 300, 2)
    newest, skipped = pipeline.newest(Panel((refused, served)))
    assert newest.symbol_index.tolist() == [1]
    assert len(newest) == 1
    assert [symbol.symbol for symbol in skipped] == ["BAD"]
    assert reason in skipped[0].reason


def test_a_hole_outside_the_window_does_not_skip_the_symbol(pipeline: Pipeline) -> None:
    newest, skipped = pipeline.newest(Panel((make_frame("AAA", 300, 1, holes=[294]),)))
    assert (len(newest), skipped) == (1, ())


def test_masked_references_are_reported_and_skip_no_symbol(panel: Panel, pipeline: Pipeline) -> None:
    spy = panel.references["SPY"]
    holed = replace(spy, close=np.where(np.arange(420) == 417, np.nan, spy.close))
    partly = Panel(panel.histories, {"SPY": holed})
    assert pipeline.degraded(panel) == ((), (), ())
    assert pipeline.degraded(partly) == (("SPY", "^VIX"),) * 3
    newest, skipped = pipeline.newest(partly)
    assert skipped == ()
    gathered = newest.gather()
    assert gathered[0, :, 10].tolist() == [1, 1, 0, 0, 1]
    # Tokyo closes before New York does on the same date: it has the hole a session later
    assert gathered[2, :, 10].tolist() == [1, 1, 1, 0, 0]
    assert (gathered[:, :, 11:14] == 0).all()
    assert (gathered[0, 2, 8:10] == 0).all()


def test_a_reference_it_was_not_trained_with_is_not_degraded(panel: Panel) -> None:
    untrained = Pipeline.fit(Panel(panel.histories, {"SPY": panel.references["SPY"]}), make_recipe(), CUT)
    assert untrained.trained_references == ("SPY",)
    assert untrained.degraded(Panel(panel.histories, {})) == (("SPY",),) * 3


def test_json_round_trip(pipeline: Pipeline) -> None:
    assert Pipeline.from_dict(json.loads(json.dumps(pipeline.to_dict()))) == pipeline


@pytest.mark.parametrize(
    "change",
    [{"feature_names": ["return"]}, {"scale": [1.0]}, {"references": [["SPY", "weather"]]}, {"lookback": None}],
)
def test_an_altered_pipeline_is_an_error(pipeline: Pipeline, change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError):
        Pipeline.from_dict({**pipeline.to_dict(), **change})


def test_a_fit_without_sessions_is_an_error(panel: Panel) -> None:
    with pytest.raises(TooLittleHistory, match="no session of the 3 symbols"):
        Pipeline.fit(panel, make_recipe(), np.datetime64("2000-01-31T00:00:00"))


def test_without_references_there_are_eight_inputs(panel: Panel) -> None:
    bare = Pipeline.fit(panel, make_recipe(references=()), CUT)
    assert len(bare.feature_names) == 8
    assert bare.mask_columns == ()
    assert Pipeline.fit(panel, make_recipe(references=(VIX, SPY)), CUT).mask_columns == ((8, 9, 10), (11, 12, 13))


def test_extended_windows_hold_most_columns_at_the_newest_session_only(panel: Panel) -> None:
    config = replace(make_recipe(), inputs=Inputs.EXTENDED)
    extended = Pipeline.fit(panel, config, CUT)
    assert extended.feature_names[:4] == ("return", "range", "gap", "volume")
    # 8 core and 23 extended columns of its own, 3 of SPY, 3 and 4 of ^VIX, the masks last
    assert len(extended.feature_names) == 8 + 23 + 3 + 7
    assert extended.mask_columns == ((31, 32, 33), (34, 35, 36, 37, 38, 39, 40))
    windows = extended.windows(panel, require_targets=False)
    gathered = windows.select(windows.final_at >= CUT).gather()
    assert (gathered[:, :-1, 4:] == 0).all()
    assert (np.abs(gathered[:, :-1, :4]).max(axis=(0, 1)) > 1).all()
    assert (np.abs(gathered[:, -1]).max(axis=0) > 0.05).all()
    assert Pipeline.from_dict(json.loads(json.dumps(extended.to_dict()))) == extended


@pytest.mark.parametrize("rows", [420, INPUT_MEMORY + 5])
def test_the_newest_extended_window_equals_the_training_window_of_that_session(panel: Panel, rows: int) -> None:
    extended = Pipeline.fit(panel, replace(make_recipe(), inputs=Inputs.EXTENDED), CUT)
    newest, skipped = extended.newest(last_rows(panel, rows))
    assert skipped == ()
    windows = extended.windows(panel, require_targets=False)
    last = np.array([np.flatnonzero(windows.symbol_index == index)[-1] for index in range(3)])
    np.testing.assert_allclose(newest.gather(), windows.select(last).gather(), atol=1e-6)
