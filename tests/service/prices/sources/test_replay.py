"""A recorded history as of an instant, in literal numbers."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from service.prices.sources.base import Action, ActionKind, InstrumentMeta, NoData
from service.prices.sources.replay import RecordedSeries, recorded_series, replay

# Monday to Friday of one week; New York opens at 14:30 UTC and closes at 21:00 UTC in December.
DAYS = np.array(["2018-12-10", "2018-12-11", "2018-12-12", "2018-12-13", "2018-12-14"], dtype="datetime64[D]")
DIVIDEND = Action(date(2018, 12, 11), ActionKind.DIVIDEND, 0.25)
SPLIT = Action(date(2018, 12, 13), ActionKind.SPLIT, 2.0)
REVERSE = Action(date(2018, 12, 14), ActionKind.SPLIT, 0.1)
FACTOR = Action(date(2018, 12, 12), ActionKind.FACTOR, 0.9)


def series(*actions: Action) -> RecordedSeries:
    """Return closes 10 to 14 on the basis of the last session, each with volume 100."""
    close = np.array([10.0, 11.0, 12.0, 13.0, 14.0])
    bars = np.column_stack([close - 0.5, close + 1, close - 1, close, np.full(5, 100.0)])
    return recorded_series("MADE", DAYS, bars, actions, InstrumentMeta(calendar="XNYS"))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_session_is_visible_from_its_open_on() -> None:
    assert len(replay(series(), None, utc("2018-12-12 14:29:59")).bars) == 2
    assert len(replay(series(), None, utc("2018-12-12 14:30:00")).bars) == 3


def test_before_a_split_figures_are_on_the_earlier_basis() -> None:
    history = replay(series(DIVIDEND, SPLIT), None, utc("2018-12-13 14:29"))

    assert history.bars["close"].tolist() == [20.0, 22.0, 24.0]
    assert history.bars["open"].tolist() == [19.0, 21.0, 23.0]
    assert history.bars["volume"].tolist() == [50.0, 50.0, 50.0]
    assert history.actions == (Action(date(2018, 12, 11), ActionKind.DIVIDEND, 0.5),)


def test_on_its_day_a_split_appears_and_changes_earlier_prices() -> None:
    history = replay(series(DIVIDEND, SPLIT), None, utc("2018-12-13 14:30"))

    assert history.bars["close"].tolist() == [10.0, 11.0, 12.0, 13.0]
    assert history.bars["volume"].tolist() == [100.0] * 4
    assert history.actions == (DIVIDEND, SPLIT)


def test_several_later_splits_multiply() -> None:
    history = replay(series(SPLIT, REVERSE), None, utc("2018-12-12 22:00"))
    assert history.bars["close"].tolist() == pytest.approx([2.0, 2.2, 2.4])
    assert history.bars["volume"].tolist() == pytest.approx([500.0] * 3)

    between = replay(series(SPLIT, REVERSE), None, utc("2018-12-13 22:00"))
    assert between.bars["close"].tolist() == pytest.approx([1.0, 1.1, 1.2, 1.3])
    assert between.actions == (SPLIT,)


def test_factors_leave_prices_unchanged_and_appear_on_their_day() -> None:
    eve = replay(series(FACTOR), None, utc("2018-12-11 22:00"))
    assert (eve.bars["close"].tolist(), eve.actions) == ([10.0, 11.0], ())
    assert replay(series(FACTOR), None, utc("2018-12-12 22:00")).actions == (FACTOR,)


def test_the_window_limits_rows_and_actions() -> None:
    history = replay(series(DIVIDEND, SPLIT), date(2018, 12, 12), utc("2018-12-14 22:00"))
    assert history.bars["close"].tolist() == [12.0, 13.0, 14.0]
    assert history.actions == (SPLIT,)
    assert history.bars.index.name == "session"
    assert str(history.bars.index[0]) == "2018-12-12 00:00:00"


def test_after_its_end_the_whole_record_is_visible() -> None:
    assert len(replay(series(), None, utc("2026-11-20 22:00")).bars) == 5


@pytest.mark.parametrize(
    ("start", "at"),
    [
        (None, "2018-12-10 14:29"),
        (None, "2003-05-05 12:00"),
        (date(2018, 12, 13), "2018-12-12 22:00"),
        (date(2018, 12, 15), "2018-12-20 22:00"),
    ],
)
def test_a_window_without_visible_rows_is_no_data(start: date | None, at: str) -> None:
    with pytest.raises(NoData, match=r"MADE: no session.*the record reaches from 2018-12-10 to 2018-12-14"):
        replay(series(), start, utc(at))


def test_a_row_without_a_session_is_visible_from_its_date_on() -> None:
    # 5 December 2018 was a day of mourning, yet the record has a row: the calendar may be wrong.
    days = np.array(["2018-12-04", "2018-12-05", "2018-12-06"], dtype="datetime64[D]")
    odd = recorded_series("ODD", days, np.ones((3, 5)), (), InstrumentMeta(calendar="XNYS"))
    assert len(replay(odd, None, utc("2018-12-04 22:00")).bars) == 1
    assert len(replay(odd, None, utc("2018-12-05 00:00")).bars) == 2
    assert len(replay(odd, None, utc("2018-12-06 14:00")).bars) == 2
    assert len(replay(odd, None, utc("2018-12-06 14:30")).bars) == 3


def test_actions_after_the_record_are_not_part_of_its_basis() -> None:
    late = series(Action(date(2018, 12, 17), ActionKind.SPLIT, 7.0))
    assert late.actions == ()
    assert replay(late, None, utc("2018-12-10 22:00")).bars["close"].tolist() == [10.0]


def test_each_answer_has_its_own_data_frame() -> None:
    record = series()
    first = replay(record, None, utc("2018-12-14 22:00")).bars
    first.loc[:, "close"] = 0.0
    assert replay(record, None, utc("2018-12-14 22:00")).bars["close"].tolist() == [10.0, 11.0, 12.0, 13.0, 14.0]
