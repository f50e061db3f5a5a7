"""Extended inputs: literal values, holes, the earnings cycle by weekday, finite memory, no look-ahead."""

from dataclasses import replace

import numpy as np
import pytest

from models.config import INPUT_MEMORY
from models.preprocessing.extended_features import EXTENDED_FEATURES, cycle_scores, extended_features, index_features
from models.preprocessing.features import ewma_sigma
from models.preprocessing.price_history import PriceHistory
from tests.support.factories import frame_of_closes, make_frame, with_changes

NAN = float("nan")


def features(frame: PriceHistory) -> np.ndarray:
    return extended_features(frame, ewma_sigma(frame.close))


def column(values: np.ndarray, name: str) -> np.ndarray:
    return values[:, EXTENDED_FEATURES.index(name)]


def zigzag(n: int, step: float = 0.01) -> np.ndarray:
    """Return closes whose log returns are +step, -step, +step, ..."""
    closes: np.ndarray = 100 * np.exp(step * (np.arange(n) % 2))
    return closes


def reported(n: int, row: int, volume: float = np.e**1.5) -> PriceHistory:
    """Return a zigzag with a permanent move of 8 % at one row, on a multiple of the usual volume."""
    close = zigzag(n)
    close[row:] *= np.exp(0.08 if row % 2 else -0.08)
    frame = frame_of_closes(close)
    volumes = frame.volume.copy()
    volumes[row] *= volume
    return replace(frame, volume=volumes)


def test_momentum_of_a_steady_rise_is_the_root_of_its_sessions() -> None:
    values = features(frame_of_closes(100 * np.exp(0.01 * np.arange(120))))
    momentum = [column(values, f"momentum_{sessions}")[-1] for sessions in (5, 21, 63)]
    # 0.01 * sqrt(sessions) / 0.01
    assert momentum == pytest.approx([2.2360680, 4.5825757, 7.9372539], rel=1e-6)


def test_momentum_of_a_zigzag_cancels() -> None:
    values = features(frame_of_closes(zigzag(120)))
    # five returns: three of one sign, two of the other, +-0.01 / 5 * sqrt(5) / 0.01
    assert column(values, "momentum_5")[-1] == pytest.approx(0.4472136, rel=1e-6)


def test_shape_of_a_zigzag_with_one_crash() -> None:
    close = zigzag(130)
    values = features(frame_of_closes(close))
    shape = [column(values, name)[-1] for name in ("largest_22", "tail_66", "downside_66")]
    assert shape == pytest.approx([1, 0, 0], abs=1e-9)
    close[110:] *= np.exp(-0.09)
    values = features(frame_of_closes(close))
    # row 110 fell by 0.01 + 0.09: mean absolute (65 * 0.01 + 0.1) / 66, mean square (65 * 0.0001 + 0.01) / 66
    assert column(values, "tail_66")[-1] == pytest.approx(np.log((0.75 / 66) / np.sqrt(0.0165 / 66)), rel=1e-6)
    # 32 falls of 0.01 and the crash
    assert column(values, "downside_66")[-1] == pytest.approx((0.0032 + 0.01) / 0.0165 - 0.5, rel=1e-6)
    largest = column(values, "largest_22") * ewma_sigma(close)
    assert largest[[109, 110, 129]] == pytest.approx([0.01, 0.1, 0.1], rel=1e-6)


def test_the_largest_move_is_forgotten_after_its_sessions() -> None:
    close = zigzag(140)
    close[110:] *= np.exp(-0.09)
    largest = column(features(frame_of_closes(close)), "largest_22") * ewma_sigma(close)
    assert largest[[131, 132]] == pytest.approx([0.1, 0.01], rel=1e-6)


def test_weekdays() -> None:
    values = features(make_frame("AAA", 7, 1))
    # 2000-01-03 was a Monday; the grid has no weekends
    days = np.column_stack([column(values, f"weekday_{day}") for day in range(5)])
    assert days.argmax(axis=1).tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert days.sum(axis=1).tolist() == [1.0] * 7
    sunday = replace(make_frame("AAA", 1, 1), sessions=np.array(["2000-01-02"], "datetime64[D]"))
    assert features(sunday)[0, 6:11].tolist() == [0.0] * 5


def test_a_usual_session_scores_zero() -> None:
    moves, volumes = cycle_scores(frame_of_closes(zigzag(120)))
    np.testing.assert_allclose(moves[60:], 0, atol=1e-12)
    np.testing.assert_allclose(volumes[60:], 0, atol=1e-12)
    assert np.isnan(moves[:2]).all()
    assert np.isnan(volumes[0])


def test_a_report_is_scored_relative_to_the_forty_sessions_before_it() -> None:
    moves, volumes = cycle_scores(reported(120, 100))
    # |-0.01 - 0.08| / 0.01 = 9
    assert moves[100] == pytest.approx(2.1972246, rel=1e-6)
    assert volumes[100] == pytest.approx(1.5)
    # it is among the forty before the next one: ln(0.01 / ((39 * 0.01 + 0.09) / 40)) = ln(40 / 48)
    assert moves[101] == pytest.approx(-0.1823216, rel=1e-6)
    assert volumes[101] == pytest.approx(-0.0375)


def test_scores_are_bounded() -> None:
    close = zigzag(120)
    close[100:] *= 2
    frame = replace(frame_of_closes(close), volume=np.where(np.arange(120) == 100, 1e9, 1000.0))
    moves, volumes = cycle_scores(frame)
    assert (moves[100], volumes[100]) == (2.5, 2.0)
    still = cycle_scores(frame_of_closes(np.concatenate((zigzag(100), np.full(20, 101.0)))))[0]
    assert still[105] == pytest.approx(-1.6)


def test_an_unknown_open_keeps_the_return_and_a_zero_volume_is_unknown() -> None:
    frame = reported(120, 100)
    opened, volume = frame.open.copy(), frame.volume.copy()
    opened[100], volume[100] = NAN, 0.0
    moves, volumes = cycle_scores(replace(frame, open=opened, volume=volume))
    assert moves[100] == pytest.approx(2.1972246, rel=1e-6)
    assert np.isnan(volumes[100])


def test_a_report_thirteen_weeks_ago_is_in_the_column_of_its_step() -> None:
    # weekdays only: 13 weeks are 65 rows, so as_of 164 is 65 rows after 99 and step 1 is the report
    values = features(reported(180, 100))
    moves = [column(values, f"cycle_move_{offset}") for offset in range(6)]
    # 26 weeks ago every session was usual, before that there is none: half of the value of 13 weeks
    expected = [0, 1.0986123, *[-0.0911608] * 4]
    assert [moves[offset][164] for offset in range(6)] == pytest.approx(expected, rel=1e-6)
    assert moves[2][163] == pytest.approx(1.0986123, rel=1e-6)
    assert moves[3][162] == pytest.approx(1.0986123, rel=1e-6)
    assert column(values, "cycle_volume_1")[164] == pytest.approx(0.75)


def test_the_cycle_is_the_mean_over_the_known_quarters() -> None:
    values = column(features(reported(420, 100)), "cycle_move_1")
    # 13, 26, 39 and 52 weeks after the row before the report, 2, 3, 4 and 4 quarters are known
    seen = [values[99 + 65 * quarters] for quarters in (1, 2, 3, 4)]
    assert seen == pytest.approx([2.1972246 / 2, 2.1972246 / 3, 2.1972246 / 4, 2.1972246 / 4], rel=1e-6)
    assert values[99 + 65 * 4 + 1] < 0


def test_the_future_changes_nothing() -> None:
    frame = make_frame("AAA", 420, 3, holes=[150, 300])
    for row in (70, 200, 330, 400):
        changed = with_changes(frame, slice(row + 1, None), row)
        np.testing.assert_array_equal(features(changed)[: row + 1], features(frame)[: row + 1])
        np.testing.assert_array_equal(index_features(changed)[: row + 1], index_features(frame)[: row + 1])


def test_the_last_rows_give_the_same_inputs_as_the_whole_history() -> None:
    frame = make_frame("AAA", 700, 4, holes=[420, 500, 650])
    whole = features(frame)
    for stop in (420, 560, 651, 700):
        tail = features(frame.slice(stop - INPUT_MEMORY, stop))
        np.testing.assert_array_equal(tail[-1], whole[stop - 1])


def test_a_sparse_grid_reads_nothing_after_as_of() -> None:
    grid = make_frame("AAA", 80, 5)
    # a session a month: five sessions after the one 91 days ago would be in the future
    sessions = np.datetime64("2000-01-03", "D") + 30 * np.arange(80)
    frame = replace(grid, sessions=sessions, final_at=sessions.astype("datetime64[s]"))
    values = features(frame)
    changed = features(with_changes(frame, slice(71, None), 1))
    np.testing.assert_array_equal(values[:71], changed[:71])


def test_rebasing_prices_and_volumes_changes_nothing() -> None:
    frame = make_frame("AAA", 300, 5)
    prices = {name: getattr(frame, name) / 7 for name in ("open", "high", "low", "close")}
    rebased = replace(frame, **prices, volume=frame.volume * 7)
    np.testing.assert_allclose(features(rebased), features(frame), atol=1e-9)


def test_index_inputs_are_relative_to_the_past_of_the_index() -> None:
    close = np.full(100, 20.0)
    close[-1] = 22.0
    values = index_features(frame_of_closes(close))
    # ln 1.1 = 0.0953102: times 10 and 5; minus a 22nd and a 66th of it, times 4 and 3
    assert values[-1] == pytest.approx([0.9531018, 0.4765509, 0.3639117, 0.2815983], rel=1e-5)
    assert np.isnan(values[0, :2]).all()


@pytest.mark.parametrize("n", [0, 1, 4])
def test_short_histories_give_rows_without_momentum(n: int) -> None:
    frame = make_frame("AAA", 10, 1).until(n)
    assert features(frame).shape == (n, 23)
    assert index_features(frame).shape == (n, 4)
    assert np.isnan(features(frame)[:, :4]).all()
