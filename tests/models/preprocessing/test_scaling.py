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
