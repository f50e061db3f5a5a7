"""Images from pooled windows: each cell holds the inputs of its window."""

from dataclasses import replace

import numpy as np

from models.forecasting.spatiotemporal.images import image_cells, market_images
from models.preprocessing.windows import PooledWindows

DAYS = np.array(["2020-01-02", "2020-01-03", "2020-01-06"], "datetime64[D]")
INPUTS = np.arange(20, dtype=np.float32).reshape(10, 2)


def windows(ends: list[int], symbols: list[int], days: list[int], targets: list[float]) -> PooledWindows:
    """Return windows of two sessions; symbol 0 has the rows 0..3, symbol 1 the rows 4..6, symbol 2 the rows 7..9."""
    count = len(ends)
    return PooledWindows(
        INPUTS,
        np.array(ends),
        2,
        np.array(ends) / 100,
        np.array(targets, np.float64)[:, None],
        np.array(symbols),
        DAYS[days],
        DAYS[days].astype("datetime64[s]"),
        np.full((count, 1), np.datetime64("NaT"), "datetime64[s]"),
    )


# Symbol 2 has row 0, symbol 0 row 1, symbol 1 none; row 2 is of a symbol that the panel lacks.
ROWS = np.array([1, -1, 0])
POOL = windows([1, 2, 3, 5, 6, 8, 9], [0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2, 1, 2], [0.1, 0.2, np.nan, 5, 5, 0.4, 0.5])


def test_a_sample_holds_all_windows_of_its_day_and_masks_the_others() -> None:
    images = market_images(POOL, POOL.select(np.array([0, 1, 5])), ROWS, height=3)
    assert images.as_of.tolist() == DAYS[:2].tolist()
    assert images.ends.tolist() == [[-1, 1, -1], [8, 2, -1]]
    assert images.present.tolist() == [[False, True, False], [True, True, False]]
    gathered = images.gather(slice(None))
    assert gathered.shape == (2, 2, 3, 2, 2)
    # Second day, oldest session first: row 7 then 8 of the inputs for symbol 2, row 1 then 2 for symbol 0.
    assert gathered[1, :, 0, :, 0].tolist() == [[14, 15], [16, 17]]
    assert gathered[1, :, 1, :, 0].tolist() == [[2, 3], [4, 5]]
    assert (gathered[..., 1] == images.present[:, None, :, None]).all()
    assert (gathered[:, :, 2] == 0).all()
    assert (gathered[0, :, 0] == 0).all()


def test_a_window_that_is_not_selected_is_an_input_and_no_target() -> None:
    images = market_images(POOL, POOL.select(np.array([6])), ROWS, height=3)
    # Symbol 0's target of the last day is unknown: it is an input of symbol 2 and does not count.
    assert images.present.tolist() == [[True, True, False]]
    assert images.counted.tolist() == [[True, False, False]]
    assert images.targets[:, :, 0].tolist() == [[0.5, 0.0, 0.0]]
    np.testing.assert_allclose(images.sigma, [[0.09, 0.03, 0.0]])


def test_a_day_on_which_no_selected_symbol_has_a_row_gives_no_sample() -> None:
    assert len(market_images(POOL, POOL.select(np.array([3, 4])), ROWS, height=3)) == 0


def test_the_cells_of_windows_hold_their_ends_and_targets() -> None:
    selected = POOL.select(np.array([5, 6, 0]))
    images = market_images(POOL, selected, ROWS, height=3)
    cells = image_cells(selected, images.as_of, ROWS)
    assert images.ends[cells].tolist() == selected.ends.tolist()
    np.testing.assert_array_equal(images.targets[cells], selected.targets)


def test_older_sessions_show_the_same_columns_as_in_a_window() -> None:
    inputs = replace(POOL, newest_only=(1,))
    images = market_images(inputs, inputs, ROWS, height=3)
    # Symbol 2 on the second day: the newest session alone has the second column, masks are unchanged.
    gathered = images.gather(slice(None))
    assert gathered[1, :, 0, :, 0].tolist() == [[14, 0], [16, 17]]
    assert (gathered[..., 1] == images.present[:, None, :, None]).all()


def test_samples_can_be_gathered_in_parts() -> None:
    images = market_images(POOL, POOL, ROWS, height=3)
    parts = [images.gather(slice(start, start + 1)) for start in range(len(images))]
    np.testing.assert_array_equal(np.concatenate(parts), images.gather(slice(None)))
