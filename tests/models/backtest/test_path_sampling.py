"""Distributions from seven quantiles, and their mixtures."""

import numpy as np
import pytest

from models.backtest.path_sampling import inverse_cdf, mixture_quantiles, stratified_levels
from models.config import QUANTILES

LADDER = np.array([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0])


def test_the_distribution_passes_through_the_quantiles_and_is_linear_between() -> None:
    np.testing.assert_allclose(inverse_cdf(LADDER, np.array(QUANTILES)), LADDER, atol=1e-12)
    np.testing.assert_allclose(inverse_cdf(LADDER, np.array([0.375, 0.825])), [-0.5, 1.5], atol=1e-12)


def test_tails_are_exponential_through_the_outermost_two() -> None:
    # one unit between 0.1 and 0.025, a quarter: one unit more at a quarter of 0.025
    np.testing.assert_allclose(inverse_cdf(LADDER, np.array([0.00625, 0.99375])), [-4.0, 4.0], atol=1e-12)


def test_there_is_one_level_in_each_stratum_by_seed() -> None:
    levels = stratified_levels(8, 2, seed=5)
    assert np.sort(np.floor(levels * 8), axis=1).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]] * 2
    np.testing.assert_array_equal(levels, stratified_levels(8, 2, seed=5))
    assert not np.array_equal(levels[0], levels[1])
    assert not np.array_equal(levels, stratified_levels(8, 2, seed=6))
    with pytest.raises(ValueError, match="an even number"):
        stratified_levels(7, 2, seed=5)


@pytest.mark.parametrize("paths", [8, 16, 64])
@pytest.mark.parametrize("seed", range(10))
def test_paths_are_mirrored_and_their_steps_uncorrelated(paths: int, seed: int) -> None:
    levels = stratified_levels(paths, 2, seed)
    np.testing.assert_allclose(levels[:, paths // 2 :], 1 - levels[:, : paths // 2], rtol=1e-12)
    assert abs(np.corrcoef(levels)[0, 1]) < 0.02


def test_a_mixture_of_one_path_is_that_path_shifted() -> None:
    levels = (np.arange(4000) + 0.5) / 4000
    mixed = mixture_quantiles(np.array([[10.0]]), LADDER[None, None], levels)
    np.testing.assert_allclose(mixed[0], LADDER + 10, atol=0.01)


def test_a_mixture_of_two_far_apart_has_two_halves() -> None:
    levels = (np.arange(4000) + 0.5) / 4000
    ladders = np.stack([LADDER, LADDER])[None]
    mixed = mixture_quantiles(np.array([[0.0, 100.0]]), ladders, levels)[0]
    # a quarter of the mixture is the median of the lower half
    assert mixed[2] == pytest.approx(0.0, abs=0.01)
    assert mixed[4] == pytest.approx(100.0, abs=0.01)


def test_sums_of_two_normals_are_wider_by_the_root_of_two() -> None:
    normal = np.array([-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964])
    levels = stratified_levels(64, 1, seed=1)[0]
    first = inverse_cdf(normal, levels)
    mixed = mixture_quantiles(first[None], np.repeat(normal[None, None], 64, axis=1), (np.arange(32) + 0.5) / 32)[0]
    np.testing.assert_allclose(mixed, np.sqrt(2) * normal, rtol=0.06, atol=0.05)
