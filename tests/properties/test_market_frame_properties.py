"""What comes after as_of never changes a market frame, and a frame holds what its windows hold."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.forecasting.spatiotemporal.images import MarketImages, image_cells, market_images
from models.forecasting.spatiotemporal.layout import fit_layout, order_by_correlation
from models.forecasting.spatiotemporal.pipeline import MarketPipeline
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel
from tests.support.factories import after, known_at, make_frame, make_panel, make_recipe, with_changes

N = 330
BASE = make_panel(N, seed=7, symbols=("AAA", "BBB", "CCC"))
PANEL = Panel((*BASE.histories, make_frame("DDD", N, 5, holes=(250, 290)).slice(100, N)), BASE.references)
CUT = PANEL.histories[0].final_at[260]
PIPELINE = Pipeline.fit(PANEL, make_recipe(), CUT)
LAYOUT = fit_layout(PANEL, np.arange(5), CUT)
ROWS = LAYOUT.rows_of(PANEL)
SEEDS = st.integers(0, 2**32 - 1)
INSTANTS = st.integers(100, N - 1).map(lambda row: PANEL.histories[0].final_at[row])


def changed_after(instant: np.datetime64, seed: int) -> Panel:
    return Panel(
        tuple(with_changes(frame, after(frame, instant), seed) for frame in PANEL.histories),
        {symbol: with_changes(frame, after(frame, instant), seed + 1) for symbol, frame in PANEL.references.items()},
    )


def frames_of(panel: Panel, until: np.datetime64) -> MarketImages:
    windows = PIPELINE.windows(panel, require_targets=False)
    seen = windows.select(windows.final_at <= until)
    return market_images(seen, seen, ROWS, 4)


@settings(max_examples=20, deadline=None)
@given(instant=INSTANTS, seed=SEEDS)
def test_the_future_never_changes_a_frame(instant: np.datetime64, seed: int) -> None:
    before, still = frames_of(PANEL, instant), frames_of(changed_after(instant, seed), instant)
    np.testing.assert_array_equal(before.as_of, still.as_of)
    np.testing.assert_array_equal(before.gather(slice(None)), still.gather(slice(None)))
    np.testing.assert_array_equal(before.sigma, still.sigma)


@settings(max_examples=20, deadline=None)
@given(instant=INSTANTS, seed=SEEDS)
def test_the_future_never_changes_a_layout(instant: np.datetime64, seed: int) -> None:
    changed = changed_after(instant, seed)
    assert fit_layout(changed, np.arange(5), instant) == fit_layout(PANEL, np.arange(5), instant)


@settings(max_examples=20, deadline=None)
@given(row=st.integers(170, N - 1))
def test_serving_at_a_session_sees_the_frame_that_training_sees(row: int) -> None:
    instant = PANEL.histories[0].final_at[row]
    known = Panel(tuple(known_at(frame, instant) for frame in PANEL.histories), PANEL.references)
    kept = Panel(tuple(frame for frame in known.histories if frame.calendar == "XNYS"), known.references)
    seen, asked, refusals = MarketPipeline(PIPELINE, LAYOUT).newest(kept)
    newest, trained = market_images(seen, seen, LAYOUT.rows_of(kept), 4), frames_of(PANEL, instant)
    assert len(asked) + len(refusals) == 4
    assert trained.as_of[-1] == newest.as_of[-1]
    # DDD begins midway: it is refused until it has 250 bars, and seen from 80 on, as in training.
    np.testing.assert_array_equal(newest.present[-1], trained.present[-1])
    np.testing.assert_allclose(newest.gather(slice(-1, None)), trained.gather(slice(-1, None)), atol=1e-6)
    np.testing.assert_allclose(newest.sigma[-1], trained.sigma[-1], rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, share=st.floats(0.0, 1.0))
def test_every_window_asked_for_stands_in_its_cell(seed: int, share: float) -> None:
    windows = PIPELINE.windows(PANEL, require_targets=False)
    asked = windows.select(
        (np.random.default_rng(seed).random(len(windows)) < share) & (ROWS[windows.symbol_index] >= 0)
    )
    frames = market_images(windows, asked, ROWS, 4)
    assert frames.counted.sum() == len(asked)
    assert (frames.present | ~frames.counted).all()
    at = image_cells(asked, frames.as_of, ROWS)
    np.testing.assert_array_equal(frames.gather(slice(None))[at[0], :, at[1], :, 0], asked.gather())


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 12), seed=SEEDS)
def test_an_order_has_every_symbol_once(count: int, seed: int) -> None:
    draw = np.random.default_rng(seed).uniform(-1, 1, (count, count))
    assert sorted(order_by_correlation((draw + draw.T) / 2)) == list(range(count))
