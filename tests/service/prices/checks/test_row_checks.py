"""Checks of the rows and actions of an answer."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from service.market.exchange_calendar import get_calendar
from service.prices.checks.row_checks import Checked, check_actions, check_rows
from service.prices.sources.base import Action, ActionKind, FetchedPrices, Malformed
from tests.support.fakes import JANUARY, bars_frame

SETTLE = timedelta(minutes=90)


def check(frame: pd.DataFrame, at: str = "2024-01-31T23:00:00") -> Checked:
    table = get_calendar("XNYS", date(2024, 1, 1)).table(date(2023, 12, 1), date(2024, 2, 28))
    return check_rows(FetchedPrices("AAA", frame, ()), table, SETTLE, np.datetime64(at, "s"))


def days(checked: Checked) -> list[int]:
    return [day.astype(object).day for day in checked.rows.sessions]


def test_good_rows_pass_unchanged() -> None:
    checked = check(bars_frame(JANUARY[:3], [10, 11, 12]))
    assert days(checked) == [2, 3, 4]
    assert checked.rows.values[1].tolist() == [11.0, 11.11, 10.89, 11.0, 1000.0]
    assert checked.findings == ()
    assert (checked.holes, checked.partial, checked.duplicates) == (0, 0, 0)


def test_a_null_close_is_a_hole() -> None:
    checked = check(bars_frame(JANUARY[:3], [10, np.nan, 12]))
    assert (days(checked), checked.holes, checked.findings) == ([2, 4], 1, ())


def test_all_null_and_empty_answers() -> None:
    assert check(bars_frame(JANUARY[:3], [np.nan] * 3)).holes == 3
    assert len(check(bars_frame([], [])).rows) == 0


@pytest.mark.parametrize(("at", "kept"), [("2024-01-04T22:29:59", [2, 3]), ("2024-01-04T22:30:00", [2, 3, 4])])
def test_a_bar_is_final_from_close_and_settle_on(at: str, kept: list[int]) -> None:
    # XNYS closes at 21:00 UTC in winter; 90 minutes later the bar is final.
    checked = check(bars_frame(JANUARY[:4], [10, 11, 12, 13]), at)
    assert days(checked) == kept
    assert checked.partial == 4 - len(kept)


def test_a_row_of_a_holiday_is_refused() -> None:
    checked = check(bars_frame([date(2024, 1, 12), date(2024, 1, 15)], [10, 11]))
    assert days(checked) == [12]
    assert [finding.state for finding in checked.findings] == ["refused"]
    assert "not a session" in checked.findings[0].reason
    assert checked.findings[0].row["close"] == 11.0


@pytest.mark.parametrize("close", [0.0, -3.0, np.inf, -np.inf])
def test_an_invalid_close_is_refused(close: float) -> None:
    checked = check(bars_frame(JANUARY[:3], [10, 11, 12], {(1, "close"): close}))
    assert days(checked) == [2, 4]
    assert [finding.state for finding in checked.findings] == ["refused"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("high", 10.9), ("low", 11.1), ("open", 12.0), ("open", -1.0), ("high", np.inf), ("low", 0.0)],
)
def test_invalid_open_high_low_are_removed_and_the_close_is_kept(name: str, value: float) -> None:
    checked = check(bars_frame(JANUARY[:3], [10, 11, 12], {(1, name): value}))
    assert days(checked) == [2, 3, 4]
    assert np.isnan(checked.rows.values[1, :3]).all()
    assert checked.rows.values[1, 3:].tolist() == [11.0, 1000.0]
    assert [finding.state for finding in checked.findings] == ["repaired"]
    assert not np.isnan(checked.rows.values[[0, 2]]).any()


def test_a_tiny_excess_is_rounding() -> None:
    inside = bars_frame(JANUARY[:1], [100.0], {(0, "high"): 100.0 - 0.00009})
    outside = bars_frame(JANUARY[:1], [100.0], {(0, "high"): 100.0 - 0.00011})
    assert check(inside).findings == ()
    assert len(check(outside).findings) == 1


def test_missing_open_high_low_are_not_a_fault() -> None:
    nothing = {(0, name): np.nan for name in ("open", "high", "low", "volume")}
    checked = check(bars_frame(JANUARY[:1], [100.0], nothing))
    assert (days(checked), checked.findings) == ([2], ())


@pytest.mark.parametrize("volume", [-1.0, np.inf])
def test_an_invalid_volume_is_removed(volume: float) -> None:
    checked = check(bars_frame(JANUARY[:2], [10, 11], {(1, "volume"): volume}))
    assert checked.rows.values[1].tolist()[:4] == [11.0, 11.11, 10.89, 11.0]
    assert np.isnan(checked.rows.values[1, 4])
    assert [finding.state for finding in checked.findings] == ["repaired"]


def test_the_first_row_of_a_repeated_session_counts() -> None:
    twice = [JANUARY[0], JANUARY[1], JANUARY[1], JANUARY[2]]
    checked = check(bars_frame(twice, [10, 11, 99, 12]))
    assert checked.rows.close.tolist() == [10.0, 11.0, 12.0]
    assert checked.duplicates == 1


def test_the_later_row_counts_at_the_end() -> None:
    checked = check(bars_frame([JANUARY[0], JANUARY[1], JANUARY[1]], [10, 99, 11]))
    assert checked.rows.close.tolist() == [10.0, 11.0]
    assert checked.duplicates == 1


def test_descending_rows_are_malformed() -> None:
    with pytest.raises(Malformed, match="2024-01-02 comes after 2024-01-03"):
        check(bars_frame([JANUARY[1], JANUARY[0]], [10, 11]))


def test_a_missing_column_is_malformed() -> None:
    with pytest.raises(Malformed, match="volume"):
        check(bars_frame(JANUARY[:2], [10, 11]).drop(columns="volume"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("dividend", 10.0), ("dividend", -1.0), ("split", 0.0), ("factor", np.inf), ("factor", np.nan)],
)
def test_invalid_actions_are_refused(kind: str, value: float) -> None:
    rows = check(bars_frame(JANUARY[:3], [10, 11, 12])).rows
    good, findings = check_actions([Action(JANUARY[1], ActionKind(kind), value)], rows)
    assert good == ()
    assert [finding.state for finding in findings] == ["refused"]


def test_a_valid_dividend_passes() -> None:
    rows = check(bars_frame(JANUARY[:3], [10, 11, 12])).rows
    action = Action(JANUARY[1], ActionKind.DIVIDEND, 0.5)
    assert check_actions([action], rows) == ((action,), ())


@pytest.mark.parametrize(("name", "figure"), [("high", 501.0), ("high", 1e300), ("low", 0.19), ("open", 501.0)])
def test_a_figure_that_is_fifty_times_away_from_the_close_is_removed(name: str, figure: float) -> None:
    changes = {(1, name): figure} | ({(1, "high"): 600.0} if name == "open" else {})
    checked = check(bars_frame(JANUARY[:3], [10, 10, 10], changes))
    assert np.isnan(checked.rows.values[1, :3]).all()
    assert checked.rows.values[1, 3] == 10.0
    assert [finding.reason.split(":")[0] for finding in checked.findings] == ["more than 50 times away from the close"]


def test_a_high_of_a_wild_day_is_kept() -> None:
    checked = check(bars_frame(JANUARY[:3], [10, 10, 10], {(1, "high"): 499.0, (2, "low"): 0.21}))
    assert checked.rows.values[1, 1] == 499.0
    assert checked.findings == ()


def listed_early(early: int, later: int) -> Checked:
    """Check some rows of June 2019 with some of January 2024."""
    table = get_calendar("XNYS", date(2019, 1, 1), date(2024, 2, 28)).table(date(2019, 6, 1), date(2024, 2, 28))
    days_of_june = [date(2019, 6, day) for day in (3, 4, 5, 6)][:early]
    frame = bars_frame([*days_of_june, *JANUARY[:later]], [10.0] * (early + later))
    return check_rows(FetchedPrices("AAA", frame, ()), table, SETTLE, np.datetime64("2024-01-31T23:00:00", "s"))


def test_first_rows_that_are_years_before_many_others_are_refused() -> None:
    checked = listed_early(3, 21)
    assert len(checked.rows) == 21
    assert checked.rows.sessions[0] == np.datetime64("2024-01-02")
    assert [finding.reason for finding in checked.findings] == ["alone, years before the next row: a wrong date"] * 3
    assert checked.absent == 0


@pytest.mark.parametrize(("early", "later"), [(4, 21), (3, 19)])
def test_a_listing_that_was_interrupted_is_kept(early: int, later: int) -> None:
    assert len(listed_early(early, later).rows) == early + later


def test_sessions_that_an_answer_lacks_are_counted() -> None:
    assert check(bars_frame([JANUARY[0], JANUARY[1], JANUARY[4]], [10, 10, 10])).absent == 2
    assert check(bars_frame(JANUARY[:3], [10, np.nan, 10])).absent == 0


def test_good_rows_that_lack_a_figure_of_others_are_counted() -> None:
    assert check(bars_frame(JANUARY[:3], [10, 10, 10], {(1, "open"): np.nan})).incomplete == 1
    no_open = {(row, "open"): np.nan for row in range(3)}
    assert check(bars_frame(JANUARY[:3], [10, 10, 10], no_open)).incomplete == 0


@pytest.mark.parametrize(("ratio", "kept"), [(10_000.0, 1), (10_001.0, 0), (1e-4, 1), (9e-5, 0), (1e300, 0)])
def test_a_split_beyond_ten_thousand_to_one_is_refused(ratio: float, kept: int) -> None:
    split = Action(date(2024, 1, 3), ActionKind.SPLIT, ratio)
    good, findings = check_actions([split], check(bars_frame(JANUARY[:3], [10, 10, 10])).rows)
    assert (len(good), len(findings)) == (kept, 1 - kept)
