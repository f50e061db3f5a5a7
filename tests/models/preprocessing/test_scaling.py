"""Standardisation with literal numbers."""

import numpy as np

from models.preprocessing.scaling import fit_scaling

NAN = float("nan")


def test_mean_and_deviation_of_the_known_values() -> None:
    scaling = fit_scaling([np.array([[1.0, 5.0], [3.0, NAN], [NAN, 5.0]])])
    assert scaling.centre == (2.0, 5.0)
    assert scaling.scale == (1.0, 1.0)


def test_deviation_is_that_of_the_population() -> None:
    assert fit_scaling([np.array([[0.0], [4.0]])]).scale == (2.0,)


def test_a_column_that_moves_little_is_not_stretched() -> None:
    assert fit_scaling([np.array([[0.0], [1.0]])]).scale == (1.0,)


def test_fixed_columns_are_not_scaled() -> None:
    scaling = fit_scaling([np.array([[1.0, 0.0], [1.0, 10.0]])], fixed=(0,))
    assert scaling.centre == (0.0, 5.0)
    assert scaling.scale == (1.0, 5.0)


def test_an_unknown_column_stays_unscaled() -> None:
    scaling = fit_scaling([np.full((3, 1), NAN)])
    assert (scaling.centre, scaling.scale) == ((0.0,), (1.0,))


def test_apply_clips_and_fills_unknown_with_the_centre() -> None:
    scaling = fit_scaling([np.array([[0.0], [4.0]])])
    applied = scaling.apply(np.array([[4.0], [100.0], [-100.0], [NAN]]))
    assert applied.dtype == np.float32
    assert applied[:, 0].tolist() == [1.0, 6.0, -6.0, 0.0]


def test_blocks_give_the_bits_of_one_array() -> None:
    """Sums of floats depend on their order: a forecast must not depend on how the rows were cut."""
    values = np.random.default_rng(7).standard_normal((4_000, 9)) * np.geomspace(1e-4, 1e4, 9) + 3.0
    values[::17, 2] = NAN
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt((np.where(known, values - centre, 0.0) ** 2).sum(axis=0) / count)
    scaling = fit_scaling([values[:1], values[1:1_500], values[1_500:1_500], values[1_500:]])
    assert scaling.centre == tuple(centre.tolist())
    assert scaling.scale == tuple(np.maximum(deviation, 1.0).tolist())
