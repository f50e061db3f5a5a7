"""The index axis: one slot per session, labels, and the zone of the steps."""

from datetime import date, timedelta

import pytest

from service.charts.axis import Zone, slots_of, step_ticks, ticks
from tests.support.answer_factory import AS_OF, CLOSED, bar, bars, weekdays


def test_closed_days_take_no_slot() -> None:
    slots = slots_of(bars(8))
    assert [str(slot.last) for slot in slots] == [
        "2018-05-22", "2018-05-23", "2018-05-24", "2018-05-25", "2018-05-29", "2018-05-30", "2018-05-31", "2018-06-01",
    ]  # fmt: skip
    assert CLOSED not in [slot.last for slot in slots]


def test_a_long_range_groups_sessions_and_ends_with_a_full_candle() -> None:
    made = [bar(day, 100.0 + place, 99.0 + place) for place, day in enumerate(weekdays(AS_OF, 521))]
    slots = slots_of(made)
    assert len(slots) == 174  # 521 sessions, three per candle; the oldest has two
    newest = slots[-1]
    assert (str(newest.first), str(newest.last)) == ("2018-05-30", "2018-06-01")
    assert (newest.open, newest.close) == (617.0, 620.0)
    assert (newest.high, newest.low) == (621.0, 616.0)
    assert newest.name == "2018-05-30 to 2018-06-01"


def test_missing_prices_are_replaced_by_the_close() -> None:
    (slot,) = slots_of([bar(AS_OF, 50.0).model_copy(update={"open": None, "high": None, "low": None})])
    assert (slot.open, slot.high, slot.low, slot.close) == (50.0, 50.0, 50.0, 50.0)


def test_prices_are_on_the_basis_of_the_forecast() -> None:
    (slot,) = slots_of([bar(AS_OF, 50.0)], ratio=4.0)
    assert (slot.open, slot.high, slot.low, slot.close) == (200.0, 204.0, 196.0, 200.0)


@pytest.mark.parametrize(("slots", "steps"), [(1, 3), (21, 3), (63, 3), (252, 3), (63, 1)])
def test_the_zone_is_28_percent_of_the_axis(slots: int, steps: int) -> None:
    zone = Zone(slots, steps)
    assert (zone.end - zone.start) / (zone.end + 0.5) == pytest.approx(0.28)
    places = [zone.at(number) for number in range(1, steps + 1)]
    assert zone.start < places[0]
    assert places[-1] < zone.end


def test_steps_have_the_expected_positions() -> None:
    zone = Zone(63, 3)  # 63 slots are 72 %, so the zone has 24.5, and each step 7
    assert (zone.start, zone.end) == (62.5, pytest.approx(87.0))
    assert [zone.at(number) for number in (1, 2, 3)] == pytest.approx([66.7, 73.7, 80.7])


def test_labels_are_at_the_first_slot_of_a_week_month_or_year() -> None:
    assert ticks(weekdays(AS_OF, 8)) == ([4], ["29 May<br>2018"])
    months = ticks(weekdays(AS_OF, 63))
    assert months[1] == ["Apr<br>2018", "May", "Jun"]
    assert ticks(weekdays(AS_OF, 252))[1] == ["Jul<br>2017", "Oct", "Jan<br>2018", "Apr"]
    assert ticks([date(2010, 1, 4) + timedelta(days=7 * week) for week in range(600)])[1] == ["2015", "2020"]
    assert ticks([AS_OF]) == ([0], ["1 Jun<br>2018"])
    assert ticks([]) == ([], [])


def test_steps_are_labelled_with_their_days() -> None:
    days = [date(2018, 5, 30), date(2018, 5, 31), date(2018, 6, 1)]
    assert step_ticks(days) == ["T<br>30 May", "T+1<br>31", "T+2<br>1 Jun"]
