"""Rows of a market image: one calendar, ordered by correlation, independent of the panel's order."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import ArtifactError, TooLittleHistory
from models.forecasting.spatiotemporal.layout import MarketLayout, correlations, fit_layout, order_by_correlation
from models.preprocessing.price_history import Panel, PriceHistory
from tests.support.factories import after, frame_of_closes, make_frame, with_changes

DRAW = np.random.default_rng(4)
TECH, OIL = (DRAW.normal(0, 0.02, 400) for _ in range(2))


def moving_with(common: np.ndarray, symbol: str, own: float = 0.01) -> PriceHistory:
    seed = sum(symbol.encode())
    returns = common + np.random.default_rng(seed).normal(0, own, len(common))
    return frame_of_closes(50 * np.exp(np.cumsum(returns)), symbol)


FRAMES = tuple(
    moving_with(common, symbol) for symbol, common in (("A", TECH), ("B", OIL), ("C", TECH), ("D", OIL), ("E", TECH))
)
CUT = FRAMES[0].final_at[-1]


def test_correlated_symbols_have_neighbouring_rows() -> None:
    layout = fit_layout(Panel(FRAMES), np.arange(5), CUT)
    assert layout.calendar == "XNYS"
    sides = "".join("t" if symbol in "ACE" else "o" for symbol in layout.symbols)
    assert sides in ("tttoo", "oottt")


def test_the_order_of_the_panel_does_not_matter() -> None:
    layout = fit_layout(Panel(FRAMES), np.arange(5), CUT)
    assert fit_layout(Panel(FRAMES[::-1]), np.array([3, 0, 1, 2, 4, 4]), CUT) == layout


def test_data_after_the_cut_changes_nothing() -> None:
    cut = FRAMES[0].final_at[300]
    changed = tuple(with_changes(frame, after(frame, cut), seed) for seed, frame in enumerate(FRAMES))
    np.testing.assert_array_equal(correlations(list(changed), cut), correlations(list(FRAMES), cut))
    assert not np.array_equal(correlations(list(changed), CUT), correlations(list(FRAMES), CUT))


def test_literal_order_of_a_chain() -> None:
    correlation = np.eye(4)
    for first, second, value in ((0, 2, 0.9), (1, 3, 0.8), (2, 3, 0.5), (0, 1, 0.1)):
        correlation[first, second] = correlation[second, first] = value
    # 0 and 2 join first, then 1 and 3; the two branches meet where the correlation is largest, 2 next to 3.
    assert order_by_correlation(correlation) == [0, 2, 3, 1]


def test_correlation_is_that_of_numpy_on_common_sessions() -> None:
    holed = moving_with(TECH, "C")
    holed.close[[50, 200, 201]] = np.nan
    correlation = correlations([FRAMES[0], holed], CUT)
    returns = [np.diff(np.log(frame.close)) for frame in (FRAMES[0], holed)]
    both = ~np.isnan(returns[1])
    expected = np.corrcoef(returns[0][both], returns[1][both])[0, 1]
    # Each mean is over a symbol's own returns, not the common ones: five more of 399.
    assert correlation[0, 1] == pytest.approx(expected, abs=1e-3)
    np.testing.assert_allclose(np.diag(correlation), 1.0)


def test_a_constant_price_and_a_short_overlap_count_as_zero() -> None:
    flat = frame_of_closes(np.full(400, 20.0), "FLAT")
    young = FRAMES[2].slice(345, 400)
    correlation = correlations([FRAMES[0], flat, young], CUT)
    assert np.isfinite(correlation).all()
    assert (correlation[0, 1], correlation[0, 2]) == (0.0, 0.0)


def test_the_calendar_with_most_symbols_is_taken() -> None:
    tokyo = tuple(make_frame(f"{number}.T", 400, number, calendar="XTKS") for number in range(7200, 7203))
    panel = Panel((*FRAMES[:2], *tokyo))
    layout = fit_layout(panel, np.arange(5), CUT)
    assert layout.calendar == "XTKS"
    assert sorted(layout.symbols) == ["7200.T", "7201.T", "7202.T"]
    # A symbol without a window to train on has no row: with two of Tokyo's three gone, New York has more.
    assert sorted(fit_layout(panel, np.array([0, 1, 2]), CUT).symbols) == ["A", "B"]


def test_a_symbol_without_a_row_has_a_reason() -> None:
    layout = MarketLayout("XNYS", ("C", "A"))
    tokyo = make_frame("7203.T", 60, 1, calendar="XTKS")
    moved = replace(FRAMES[0], calendar="XLON")
    assert layout.rows_of(Panel((*FRAMES[:3], tokyo, moved))).tolist() == [1, -1, 0, -1, -1]
    assert layout.skip_reason(FRAMES[0], "conv_lstm") is None
    assert "new since the conv_lstm was trained, which has no row for it" in str(
        layout.skip_reason(FRAMES[1], "conv_lstm")
    )
    assert "only the symbols of XNYS, this one trades on XTKS" in str(layout.skip_reason(tokyo, "conv_lstm"))


def test_a_layout_equals_its_copy_from_a_dictionary_and_invalid_ones_are_refused() -> None:
    layout = MarketLayout("XNYS", ("C", "A"))
    assert MarketLayout.from_dict(layout.to_dict()) == layout
    with pytest.raises(ArtifactError, match="layout cannot be read"):
        MarketLayout.from_dict({"calendar": "XNYS"})
    with pytest.raises(ArtifactError, match="or a symbol twice"):
        MarketLayout.from_dict({"calendar": "XNYS", "symbols": ["A", "A"]})


def test_no_window_to_train_on_is_refused() -> None:
    with pytest.raises(TooLittleHistory, match="no symbol has a window"):
        fit_layout(Panel(FRAMES), np.array([], np.int64), CUT)
