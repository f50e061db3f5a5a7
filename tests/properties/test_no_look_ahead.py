"""What comes after as_of never changes an input or a forecast; Tokyo and New York pooled."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.baselines import fit_random_walk, random_walk_config
from models.config import MEMORY, Strategy
from models.preprocessing.features import own_features
from models.preprocessing.pipeline import Pipeline
from models.preprocessing.price_history import Panel
from tests.support.factories import after, known_at, last_rows, make_frame, make_panel, make_recipe, with_changes

N = 340
PANEL = make_panel(N, seed=7)
PIPELINE = Pipeline.fit(PANEL, make_recipe(), PANEL.histories[0].final_at[260])
WINDOWS = PIPELINE.windows(PANEL, require_targets=False)
# Instants from just before Tokyo's bar of a session is final to just after New York's.
INSTANTS = st.builds(
    lambda row, minutes: PANEL.histories[0].sessions[row].astype("datetime64[s]") + np.timedelta64(minutes, "m"),
    st.integers(270, N - 2),
    st.sampled_from([0, 269, 270, 271, 449, 450, 451, 1169, 1170, 1171, 1349, 1350, 1351]),
)
SEEDS = st.integers(0, 2**32 - 1)


def changed_after(instant: np.datetime64, seed: int) -> Panel:
    """The panel with everything that is not final at the instant changed."""
    return Panel(
        tuple(with_changes(frame, after(frame, instant), seed) for frame in PANEL.histories),
        {symbol: with_changes(frame, after(frame, instant), seed + 1) for symbol, frame in PANEL.references.items()},
    )


@settings(max_examples=25, deadline=None)
@given(instant=INSTANTS, seed=SEEDS)
def test_the_future_never_changes_a_window(instant: np.datetime64, seed: int) -> None:
    changed = PIPELINE.windows(changed_after(instant, seed), require_targets=False)
    before, still = WINDOWS.select(WINDOWS.final_at <= instant), changed.select(changed.final_at <= instant)
    np.testing.assert_array_equal(before.ends, still.ends)
    np.testing.assert_array_equal(before.gather(), still.gather())
    np.testing.assert_array_equal(before.sigma, still.sigma)


@settings(max_examples=25, deadline=None)
@given(instant=INSTANTS, seed=SEEDS)
def test_the_future_never_changes_a_fit(instant: np.datetime64, seed: int) -> None:
    changed = changed_after(instant, seed)
    assert Pipeline.fit(changed, make_recipe(), instant) == Pipeline.fit(PANEL, make_recipe(), instant)
    config = random_walk_config(Strategy.MULTI_STEP)
    assert fit_random_walk(changed, config, instant) == fit_random_walk(PANEL, config, instant)


@settings(max_examples=25, deadline=None)
@given(instant=INSTANTS, seed=SEEDS, rows=st.integers(MEMORY + 5, N))
def test_serving_at_an_instant_equals_training_there(instant: np.datetime64, seed: int, rows: int) -> None:
    changed = changed_after(instant, seed)
    served = last_rows(Panel(tuple(known_at(frame, instant) for frame in changed.histories), changed.references), N)
    newest, skipped = PIPELINE.newest(Panel(last_rows(Panel(served.histories), rows).histories, served.references))
    assert skipped == ()
    chosen = np.array(
        [np.flatnonzero((WINDOWS.symbol_index == i) & (WINDOWS.final_at <= instant))[-1] for i in range(3)]
    )
    np.testing.assert_array_equal(newest.gather(), WINDOWS.select(chosen).gather())
    np.testing.assert_array_equal(newest.sigma, WINDOWS.sigma[chosen])


@settings(max_examples=25, deadline=None)
@given(instant=INSTANTS, rows=st.integers(MEMORY + 5, N))
def test_references_cut_to_the_same_instant_serve_the_same(instant: np.datetime64, rows: int) -> None:
    whole = Panel(tuple(known_at(frame, instant) for frame in PANEL.histories), PANEL.references)
    known = Panel(whole.histories, {symbol: known_at(frame, instant) for symbol, frame in PANEL.references.items()})
    full, _ = PIPELINE.newest(whole)
    cut, _ = PIPELINE.newest(Panel(last_rows(known, rows).histories, known.references))
    np.testing.assert_array_equal(full.gather(), cut.gather())
    assert PIPELINE.degraded(whole) == PIPELINE.degraded(known)


@settings(max_examples=40, deadline=None)
@given(
    stop=st.integers(1, 300),
    seed=st.integers(0, 1000),
    holes=st.lists(st.integers(0, 299), max_size=30, unique=True),
)
def test_features_of_a_cut_frame_equal_the_whole_frames(stop: int, seed: int, holes: list[int]) -> None:
    frame = make_frame("AAA", 300, seed, holes=holes)
    cut, cut_sigma = own_features(frame.until(stop))
    whole, sigma = own_features(frame)
    np.testing.assert_array_equal(cut, whole[:stop])
    np.testing.assert_array_equal(cut_sigma, sigma[:stop])


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 350),
    seed=st.integers(0, 1000),
    holes=st.lists(st.integers(0, 599), max_size=60, unique=True),
)
def test_features_look_back_no_further_than_their_memory(start: int, seed: int, holes: list[int]) -> None:
    frame = make_frame("AAA", 600, seed, holes=holes)
    tail, tail_sigma = own_features(frame.slice(start, 600))
    whole, sigma = own_features(frame)
    first = MEMORY - 1
    np.testing.assert_array_equal(tail[first:], whole[start + first :])
    np.testing.assert_array_equal(tail_sigma[first:], sigma[start + first :])


@settings(max_examples=25, deadline=None)
@given(
    holes=st.lists(st.integers(0, N - 1), max_size=40, unique=True),
    lookback=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_no_window_touches_a_hole_or_crosses_a_symbol(holes: list[int], lookback: int, seed: int) -> None:
    frames = (make_frame("AAA", N, seed, holes=holes), make_frame("BBB", N, seed + 1))
    pipeline = Pipeline.fit(Panel(frames), make_recipe(lookback=lookback, references=()), frames[0].final_at[-1])
    windows = pipeline.windows(Panel(frames), require_targets=True)
    rows = windows.ends[:, None] - np.arange(lookback)
    closes = np.concatenate([frame.close for frame in frames])
    assert not np.isnan(closes[rows]).any()
    assert (rows // N == windows.symbol_index[:, None]).all()
    assert np.isfinite(windows.targets).all()
    own = windows.symbol_index == 1
    assert windows.ends[own].tolist() == list(range(N + max(79, 58 + lookback), 2 * N - 3))
