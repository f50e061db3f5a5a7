"""Spans: sizes, purges by date and by instant, errors."""

from dataclasses import replace

import numpy as np
import pytest

from models.errors import TooLittleHistory
from models.preprocessing.pipeline import cut_windows
from models.preprocessing.price_history import Panel
from models.preprocessing.splits import Spans, holdout_spans, spans_between
from models.preprocessing.windows import PooledWindows
from tests.support.factories import make_frame, make_panel, make_recipe

NEVER = np.datetime64("2100-01-01T00:00:00")


@pytest.fixture(scope="module")
def windows() -> PooledWindows:
    return cut_windows(make_panel(1200, seed=1), make_recipe(), require_targets=True)


def last_target(windows: PooledWindows, mask: np.ndarray) -> np.datetime64:
    instant: np.datetime64 = windows.target_final_at[mask].max()
    return instant


def check_order(windows: PooledWindows, spans: Spans) -> None:
    assert not (spans.train & spans.validation).any()
    assert not (spans.validation & spans.test).any()
    assert last_target(windows, spans.train) == spans.train_until <= windows.final_at[spans.validation].min()
    assert last_target(windows, spans.validation) == spans.validation_until <= windows.final_at[spans.test].min()
    assert last_target(windows, spans.test) == spans.test_until


def test_validation_is_a_quarter_and_test_a_year_with_three_dates_between(windows: PooledWindows) -> None:
    spans = holdout_spans(windows, NEVER)
    dates = np.unique(windows.as_of)
    assert len(dates) == 1200 - 79 - 3
    assert len(np.unique(windows.as_of[spans.test])) == 252
    assert spans.test_dates == (dates[-252], dates[-1])
    assert len(np.unique(windows.as_of[spans.validation])) == 63
    assert spans.validation_dates == (dates[-318], dates[-256])
    assert spans.train_dates == (dates[0], dates[-322])
    check_order(windows, spans)


def test_the_cut_is_an_instant_that_applies_to_targets(windows: PooledWindows) -> None:
    cut = windows.target_final_at[:, -1].max() - np.timedelta64(1, "s")
    spans = holdout_spans(windows, cut)
    assert spans.test_until <= cut
    newest = windows.as_of == np.unique(windows.as_of)[-1]
    # New York's last target is not final by the cut, Tokyo's of that date is
    assert set(windows.symbol_index[newest & spans.test].tolist()) == {2}


def test_a_target_final_exactly_at_the_cut_counts(windows: PooledWindows) -> None:
    cut = windows.target_final_at[:, -1].max()
    spans = holdout_spans(windows, cut)
    assert spans.test_until == cut
    newest = windows.as_of == np.unique(windows.as_of)[-1]
    assert set(windows.symbol_index[newest & spans.test].tolist()) == {0, 1, 2}


def test_a_thousand_dates_are_needed(windows: PooledWindows) -> None:
    dates = np.unique(windows.as_of)
    enough = windows.select(windows.as_of < dates[1000])
    assert holdout_spans(enough, NEVER).train.any()
    with pytest.raises(TooLittleHistory, match="999 distinct as_of dates"):
        holdout_spans(windows.select(windows.as_of < dates[999]), NEVER)


def test_spans_are_purged_by_instant_where_a_calendar_has_a_long_break() -> None:
    panel = make_panel(1200, seed=2, symbols=("AAA",), tokyo=())
    validation_start = holdout_spans(cut_windows(panel, make_recipe(), require_targets=True), NEVER).validation_dates[0]
    tokyo = make_frame("7203.T", 1200, 9, calendar="XTKS")
    rest = (tokyo.sessions >= validation_start - 6) & (tokyo.sessions <= validation_start + 6)
    kept = {
        name: getattr(tokyo, name)[~rest] for name in ("sessions", "final_at", "open", "high", "low", "close", "volume")
    }
    rested = replace(tokyo, **kept)
    windows = cut_windows(Panel((*panel.histories, rested)), make_recipe(), require_targets=True)
    spans = holdout_spans(windows, NEVER)
    check_order(windows, spans)
    by_date = windows.as_of <= spans.train_dates[1]
    assert (by_date & ~spans.train & (windows.symbol_index == 1)).any()


def test_spans_between_given_dates(windows: PooledWindows) -> None:
    day = np.datetime64
    spans = spans_between(
        windows,
        (day("2000-06-01"), day("2001-12-31")),
        (day("2002-01-01"), day("2002-12-31")),
        (day("2003-01-01"), day("2003-12-31")),
    )
    # 2001-12-31 was a Monday: its third session after is 01-03, the first as_of of the validation span is 01-01
    assert spans.train_dates == (day("2000-06-01"), day("2001-12-27"))
    assert spans.validation_dates == (day("2002-01-01"), day("2002-12-27"))
    assert spans.test_dates == (day("2003-01-01"), day("2003-12-31"))
    check_order(windows, spans)


def test_spans_out_of_order_or_empty_are_errors(windows: PooledWindows) -> None:
    day = np.datetime64
    years = [(day(f"{year}-01-01"), day(f"{year}-12-31")) for year in (2001, 2002, 2003, 2090)]
    with pytest.raises(ValueError, match="must follow each other"):
        spans_between(windows, years[1], years[0], years[2])
    with pytest.raises(TooLittleHistory, match="test span"):
        spans_between(windows, years[0], years[1], years[3])


def one_day_each(*days: str) -> list[tuple[np.datetime64, np.datetime64]]:
    return [(np.datetime64(day), np.datetime64(day)) for day in days]


@pytest.mark.parametrize(
    "days", [("2001-01-02", "2001-01-02", "2002-01-02"), ("2001-01-02", "2002-01-02", "2002-01-02")]
)
def test_spans_that_share_a_date_are_an_error(windows: PooledWindows, days: tuple[str, str, str]) -> None:
    train, validation, test = one_day_each(*days)
    with pytest.raises(ValueError, match="must follow each other"):
        spans_between(windows, train, validation, test)


@pytest.mark.parametrize(("stop", "judge"), [("2001-12-31", "2003-01-01"), ("2002-01-02", "2002-06-03")])
def test_a_span_that_starts_before_the_previous_one_ends_is_an_error(
    windows: PooledWindows, stop: str, judge: str
) -> None:
    day = np.datetime64
    fit = (day("2001-01-02"), day("2002-01-01"))
    with pytest.raises(ValueError, match="must follow each other"):
        spans_between(windows, fit, (day(stop), day("2002-12-31")), (day(judge), day("2003-12-31")))


def test_a_span_may_be_one_date(windows: PooledWindows) -> None:
    spans = spans_between(windows, *one_day_each("2001-01-02", "2002-01-02", "2003-01-02"))
    assert [int(mask.sum()) for mask in (spans.train, spans.validation, spans.test)] == [3, 3, 3]
    check_order(windows, spans)


@pytest.mark.parametrize(("empty", "name"), [(0, "train"), (1, "validation"), (2, "test")])
def test_an_empty_span_is_an_error_with_its_dates(windows: PooledWindows, empty: int, name: str) -> None:
    day = np.datetime64
    ranges = one_day_each("2001-01-02", "2002-01-02", "2003-01-02")
    weekends = [("2001-01-06", "2001-01-07"), ("2002-01-05", "2002-01-06"), ("2003-01-04", "2003-01-05")]
    first, last = weekends[empty]
    ranges[empty] = (day(first), day(last))
    with pytest.raises(TooLittleHistory, match=rf"^the {name} span {first}\.\.{last} has no window whose targets"):
        spans_between(windows, *ranges)
