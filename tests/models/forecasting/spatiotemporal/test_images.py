"""Frames from pooled windows: what stands where, and that it is what the windows say."""

from dataclasses import replace

import numpy as np

from models.forecasting.spatiotemporal.images import cells, market_images
from models.preprocessing.windows import PooledWindows

DAYS = np.array(["2020-01-02", "2020-01-03", "2020-01-06"], "datetime64[D]")
INPUTS = np.arange(20, dtype=np.float32).reshape(10, 2)


def windows(ends: list[int], symbols: list[int], days: list[int], targets: list[float]) -> PooledWindows:
    """Windows of two sessions; symbol 0 has the rows 0..3, symbol 1 the rows 4..6, symbol 2 the rows 7..9."""
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


# Symbol 2 stands in row 0, symbol 0 in row 1, symbol 1 in none; row 2 is of a symbol that the panel lacks.
ROWS = np.array([1, -1, 0])
SEEN = windows([1, 2, 3, 5, 6, 8, 9], [0, 0, 0, 1, 1, 2, 2], [0, 1, 2, 1, 2, 1, 2], [0.1, 0.2, np.nan, 5, 5, 0.4, 0.5])


def test_a_sample_holds_every_window_of_its_day_and_masks_the_others() -> None:
    frames = market_images(SEEN, SEEN.select(np.array([0, 1, 5])), ROWS, height=3)
    assert frames.as_of.tolist() == DAYS[:2].tolist()
    assert frames.ends.tolist() == [[-1, 1, -1], [8, 2, -1]]
    assert frames.present.tolist() == [[False, True, False], [True, True, False]]
    gathered = frames.gather(slice(None))
    assert gathered.shape == (2, 2, 3, 2, 2)
    # Second day, oldest session first: row 7 then 8 of the inputs for symbol 2, row 1 then 2 for symbol 0.
    assert gathered[1, :, 0, :, 0].tolist() == [[14, 15], [16, 17]]
    assert gathered[1, :, 1, :, 0].tolist() == [[2, 3], [4, 5]]
    assert (gathered[..., 1] == frames.present[:, None, :, None]).all()
    assert (gathered[:, :, 2] == 0).all()
    assert (gathered[0, :, 0] == 0).all()


def test_what_is_not_asked_for_is_an_input_and_no_target() -> None:
    frames = market_images(SEEN, SEEN.select(np.array([6])), ROWS, height=3)
    # Symbol 0's target of the last day is unknown: it is seen beside symbol 2 and does not count.
    assert frames.present.tolist() == [[True, True, False]]
    assert frames.counted.tolist() == [[True, False, False]]
    assert frames.targets[:, :, 0].tolist() == [[0.5, 0.0, 0.0]]
    np.testing.assert_allclose(frames.sigma, [[0.09, 0.03, 0.0]])


def test_a_day_on_which_only_rowless_symbols_are_asked_for_gives_no_sample() -> None:
    assert len(market_images(SEEN, SEEN.select(np.array([3, 4])), ROWS, height=3)) == 0


def test_cells_lead_back_to_the_windows() -> None:
    asked = SEEN.select(np.array([5, 6, 0]))
    frames = market_images(SEEN, asked, ROWS, height=3)
    at = cells(asked, frames.as_of, ROWS)
    assert frames.ends[at].tolist() == asked.ends.tolist()
    np.testing.assert_array_equal(frames.targets[at], asked.targets)


def test_older_sessions_show_what_they_show_in_a_window() -> None:
    seen = replace(SEEN, newest_only=(1,))
    frames = market_images(seen, seen, ROWS, height=3)
    # Symbol 2 on the second day: the second column stands at the newest session alone, masks stay as they are.
    gathered = frames.gather(slice(None))
    assert gathered[1, :, 0, :, 0].tolist() == [[14, 0], [16, 17]]
    assert (gathered[..., 1] == frames.present[:, None, :, None]).all()


def test_samples_are_gathered_in_parts() -> None:
    frames = market_images(SEEN, SEEN, ROWS, height=3)
    parts = [frames.gather(slice(start, start + 1)) for start in range(len(frames))]
    np.testing.assert_array_equal(np.concatenate(parts), frames.gather(slice(None)))
