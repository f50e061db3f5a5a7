"""Core inputs of a symbol: literal values, holes, finite memory."""

from dataclasses import replace

import numpy as np
import pytest

from models.config import MEMORY, ReferenceRole
from models.preprocessing.features import (
    OWN_FEATURES,
    ewma_sigma,
    own_features,
    reference_features,
    session_returns,
    truncated_ewma,
)
from tests.support.factories import frame_of_closes, make_frame

NAN = float("nan")


def column(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, OWN_FEATURES.index(name)]


def zigzag(n: int, step: float = 0.01) -> np.ndarray:
    """Return closes whose log returns are +step, -step, +step, ..."""
    closes: np.ndarray = 100 * np.exp(step * (np.arange(n) % 2))
    return closes


def test_ewma_leaves_holes_out_and_normalises() -> None:
    mean = truncated_ewma(np.array([1.0, NAN, 3.0]), 0.5)
    np.testing.assert_allclose(mean, [1.0, 1.0, 2.6], rtol=1e-14)


def test_ewma_is_unknown_before_the_first_value() -> None:
    np.testing.assert_array_equal(truncated_ewma(np.array([NAN, NAN, 2.0]), 0.94), [NAN, NAN, 2.0])


def test_ewma_forgets_after_its_memory() -> None:
    values = np.zeros(MEMORY + 5)
    values[0] = 1.0
    mean = truncated_ewma(values, 0.98)
    assert mean[MEMORY - 2] > 0
    assert mean[MEMORY - 1] == 0


def test_a_return_across_a_hole_is_left_out() -> None:
    returns = session_returns(np.array([100.0, 110.0, NAN, 121.0, 121.0]))
    np.testing.assert_allclose(returns, [NAN, 0.0953101798, NAN, NAN, 0.0], atol=1e-10)


def test_sigma_of_a_zigzag_is_its_step() -> None:
    sigma = ewma_sigma(zigzag(100))
    assert np.isnan(sigma[:59]).all()
    np.testing.assert_allclose(sigma[59:], 0.01, rtol=1e-12)


def test_sigma_reacts_to_a_shock_by_six_percent_of_its_square() -> None:
    close = zigzag(400)
    close[-1] = close[-2] * np.exp(0.05)
    # 0.94 * 0.01^2 + 0.06 * 0.05^2 = 0.000244
    assert ewma_sigma(close)[-1] == pytest.approx(0.000244**0.5, rel=1e-5)


def test_sigma_has_a_lower_bound() -> None:
    assert ewma_sigma(np.full(80, 5.0))[-1] == 0.003


def test_sigma_is_unknown_at_a_hole_and_counts_bars_not_sessions() -> None:
    close = zigzag(64)
    close[[10, 20, 30]] = NAN
    sigma = ewma_sigma(close)
    assert np.isnan(sigma[61])
    assert sigma[62] > 0
    close[63] = NAN
    assert np.isnan(ewma_sigma(close)[63])


def test_bars_before_a_long_gap_do_not_count() -> None:
    close = zigzag(620)
    close[300:540] = NAN
    sigma = ewma_sigma(close)
    # the newest 245 sessions hold 59 bars at row 598 (354..598) and 60 at row 599
    assert np.isnan(sigma[598])
    assert sigma[599] == pytest.approx(0.01)


def test_own_features_of_a_zigzag() -> None:
    frame = frame_of_closes(zigzag(300))
    frame = replace(frame, high=frame.close * np.exp(0.015), low=frame.close * np.exp(-0.005))
    values, sigma = own_features(frame)
    assert values.shape == (300, 8)
    assert sigma[-1] == pytest.approx(0.01)
    # ln(0.02 / sqrt(4 ln 2) / 0.01) = ln(1.2011224) = 0.1832564
    expected = [1.0, 2.0, 1.0, 0.0, 0.0, 0.0, -4.605170186, 0.1832564]
    np.testing.assert_allclose(values[-1], expected, atol=1e-6)


def test_log_volume_is_relative_to_its_mean_of_twenty_sessions() -> None:
    frame = frame_of_closes(zigzag(100))
    volume = frame.volume.copy()
    volume[-1] *= np.e
    volume[-21] *= 1e6
    # the newest log volume is 1 above 19 others: 1 - 1/20; the 21st session back is out of the mean
    assert column(own_features(replace(frame, volume=volume))[0], "volume")[-1] == pytest.approx(0.95)


def test_missing_high_low_and_zero_volume_are_unknown() -> None:
    frame = make_frame("AAA", 100, 1)
    high, volume = frame.high.copy(), frame.volume.copy()
    high[90], volume[91] = NAN, 0.0
    values, _ = own_features(replace(frame, high=high, volume=volume))
    assert np.isnan(column(values, "range")[90])
    assert np.isnan(column(values, "volume")[91])
    assert np.isfinite(np.delete(values[70:], [20, 21], axis=0)).all()
    assert np.isfinite(column(values, "range_volatility")[90])


def test_gap_and_return_after_a_hole_are_unknown() -> None:
    values, _ = own_features(make_frame("AAA", 100, 1, holes=[80]))
    assert np.isnan(values[80]).all()
    assert np.isnan(column(values, "gap")[81])
    assert np.isnan(column(values, "return")[81])
    assert np.isfinite(column(values, "log_sigma")[81])


def test_rebasing_prices_and_volumes_changes_nothing() -> None:
    frame = make_frame("AAA", 300, 5)
    rebased = replace(
        frame,
        open=frame.open / 7,
        high=frame.high / 7,
        low=frame.low / 7,
        close=frame.close / 7,
        volume=frame.volume * 7,
    )
    np.testing.assert_allclose(own_features(rebased)[0], own_features(frame)[0], atol=1e-9)


def test_reference_features_by_role() -> None:
    frame = frame_of_closes(zigzag(100), "SPY")
    np.testing.assert_allclose(reference_features(frame, ReferenceRole.MARKET)[-1], [1.0, -4.605170186], rtol=1e-9)
    level = reference_features(frame_of_closes(np.full(3, 20.0)), ReferenceRole.VOLATILITY)
    np.testing.assert_allclose(level, np.full((3, 1), 2.995732274), rtol=1e-9)


def test_an_empty_history_gives_no_rows() -> None:
    values, sigma = own_features(make_frame("AAA", 10, 1).until(0))
    assert values.shape == (0, 8)
    assert sigma.shape == (0,)
