"""Which actions of a file apply, by what its closes show."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from service.prices.sources.base import Action, ActionKind
from service.prices.sources.files import FilesSource
from service.prices.sources.files.adjustment import PRICE_RETURNS, settle_actions
from service.prices.sources.files.header import Adjustment
from service.prices.sources.files.reader import FileTable

AT = datetime(2018, 12, 31, 23, tzinfo=UTC)
EX_DATE = date(2018, 3, 1)
SESSIONS = np.arange(np.datetime64("2018-01-01"), np.datetime64("2018-07-01"))
EX_ROW = int(np.searchsorted(SESSIONS, np.datetime64(EX_DATE)))


def table(
    closes: list[float] | np.ndarray,
    dividends: dict[int, float] | None = None,
    splits: dict[int, float] | None = None,
    adj_close: np.ndarray | None = None,
) -> FileTable:
    """Return a table with the same price for open, high, low and close, and a volume of 1000."""
    close = np.asarray(closes, float)
    bars = np.column_stack([close, close, close, close, np.full(len(close), 1000.0)])
    columns = []
    for listed, empty in ((dividends, 0.0), (splits, 1.0)):
        column = None
        if listed is not None:
            column = np.full(len(close), empty)
            for row, value in listed.items():
                column[row] = value
        columns.append(column)
    return FileTable(SESSIONS[: len(close)], bars, adj_close, *columns)


def calm(drop_at: int | None = None, drop: float = 0.0) -> np.ndarray:
    """Return closes that go up and down by 0.2 %, with one drop."""
    closes = np.where(np.arange(len(SESSIONS)) % 2 == 0, 100.0, 100.2)
    if drop_at is not None:
        closes[drop_at:] -= drop
    return closes


def test_a_dividend_with_a_visible_drop_is_applied() -> None:
    found = settle_actions(table(calm(EX_ROW, 2.0), {EX_ROW: 2.0}), Adjustment.UNKNOWN, None)
    assert found.actions == (Action(EX_DATE, ActionKind.DIVIDEND, 2.0),)
    assert found.adjustment is Adjustment.SPLIT


@pytest.mark.parametrize("stated", [Adjustment.UNKNOWN, Adjustment.TOTAL])
def test_a_dividend_without_a_drop_is_not_applied(stated: Adjustment) -> None:
    found = settle_actions(table(calm(), {EX_ROW: 2.0}), stated, None)
    assert found.actions == ()
    assert found.adjustment is Adjustment.TOTAL
    assert found.notes == ("1 dividends not applied: no drop on the ex-date is visible in the close",)


def test_a_dividend_that_cannot_be_told_from_noise_is_not_applied() -> None:
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 0.02, len(SESSIONS))))
    found = settle_actions(table(closes, {EX_ROW: 0.05}), Adjustment.UNKNOWN, None)
    assert (found.actions, found.adjustment) == ((), Adjustment.UNKNOWN)


def test_many_small_dividends_are_visible_together() -> None:
    rows = range(10, 170, 10)
    closes = calm()
    for row in rows:
        closes[row:] -= 0.3
    found = settle_actions(table(closes, dict.fromkeys(rows, 0.3)), Adjustment.UNKNOWN, None)
    # Rows 10 and 20 have fewer than 20 returns before them.
    assert [action.ex_date for action in found.actions] == [SESSIONS[row].astype(object) for row in rows[2:]]


def test_the_first_small_dividends_stay_out_when_later_ones_show_the_basis() -> None:
    """Each dividend of 0.1 has evidence 5/2 ln((1 + (3/2.7)**2 / 4) / (1 + (2/2.7)**2 / 4)) = 0.35: three make 1."""
    rows = range(30, 170, 20)
    closes = calm()
    for row in rows:
        closes[row:] -= 0.1
    found = settle_actions(table(closes, dict.fromkeys(rows, 0.1)), Adjustment.UNKNOWN, None)
    assert [action.ex_date for action in found.actions] == [SESSIONS[row].astype(object) for row in rows[2:]]
    assert found.notes == ("2 dividends not applied: no drop on the ex-date is visible in the close",)


@pytest.mark.parametrize(("row", "applied"), [(20, 0), (21, 1)])
def test_a_drop_is_measured_from_twenty_returns_before_it_on(row: int, applied: int) -> None:
    found = settle_actions(table(calm(row, 2.0), {row: 2.0}), Adjustment.UNKNOWN, None)
    assert len(found.actions) == applied


def test_a_later_close_does_not_decide_where_the_ex_date_has_none() -> None:
    closes = calm(EX_ROW, 2.0)
    closes[EX_ROW] = np.nan
    assert settle_actions(table(closes, {EX_ROW: 2.0}), Adjustment.UNKNOWN, None).actions == ()


def test_a_calm_later_year_does_not_reverse_the_decision_of_a_wild_one() -> None:
    """At 3 % a day a drop of 0.5 % says nothing; later rows of 0.2 % a day do not make it visible."""
    wild = np.where(np.arange(60) % 2 == 0, 100.0, 103.0)
    wild[50:] -= 0.5
    closes = np.concatenate([wild, calm()[: len(SESSIONS) - 60]])
    for count in (60, len(SESSIONS)):
        found = settle_actions(table(closes[:count], {50: 0.5}), Adjustment.UNKNOWN, None)
        assert (found.actions, found.adjustment) == ((), Adjustment.UNKNOWN)


def test_one_dividend_without_its_drop_is_left_out_among_others() -> None:
    found = settle_actions(table(calm(EX_ROW, 2.0), {EX_ROW: 2.0, EX_ROW + 20: 3.0}), Adjustment.UNKNOWN, None)
    assert found.actions == (Action(EX_DATE, ActionKind.DIVIDEND, 2.0),)
    assert found.notes == ("1 dividends not applied: no drop on the ex-date is visible in the close",)


def test_adjusted_closes_precede_dividends() -> None:
    closes = calm(EX_ROW, 2.0)
    adjusted = np.where(np.arange(len(closes)) < EX_ROW, closes * 0.98, closes)
    found = settle_actions(table(closes, {EX_ROW: 2.0}, adj_close=adjusted), Adjustment.SPLIT, None)
    (factor,) = found.actions
    assert (factor.ex_date, factor.kind) == (EX_DATE, ActionKind.FACTOR)
    assert factor.value == pytest.approx(0.98, abs=1e-6)


def test_adjusted_closes_that_begin_later_do_not_hide_the_dividends_before_them() -> None:
    closes = calm(EX_ROW, 2.0)
    adjusted = np.where(np.arange(len(closes)) < EX_ROW + 30, np.nan, closes)
    found = settle_actions(table(closes, {EX_ROW: 2.0}, adj_close=adjusted), Adjustment.SPLIT, None)
    assert found.actions == (Action(EX_DATE, ActionKind.DIVIDEND, 2.0),)


def test_prices_as_traded_are_split_adjusted() -> None:
    """A 4:1 split from 400 to 100: prices before are divided, volumes multiplied, and dividends with the prices."""
    closes = [400.0, 400.8, 100.0, 100.2]
    found = settle_actions(table(closes, {1: 40.0}, {2: 4.0}), Adjustment.UNKNOWN, None)
    assert found.bars[:, 3].tolist() == [100.0, 100.2, 100.0, 100.2]
    assert found.bars[:, 4].tolist() == [4000.0, 4000.0, 1000.0, 1000.0]
    assert found.actions[0] == Action(date(2018, 1, 3), ActionKind.SPLIT, 4.0)
    assert found.notes[0] == "1 splits undone: prices as traded"


def test_splits_that_closes_contain_already_are_not_undone() -> None:
    found = settle_actions(table([100.0, 100.2, 100.0, 100.2], None, {2: 4.0}), Adjustment.TOTAL, None)
    assert found.bars[:, 3].tolist() == [100.0, 100.2, 100.0, 100.2]
    assert found.actions == (Action(date(2018, 1, 3), ActionKind.SPLIT, 4.0),)


def test_listed_dividends_of_adjusted_closes_need_a_drop() -> None:
    listed = (Action(EX_DATE, ActionKind.DIVIDEND, 2.0), Action(EX_DATE, ActionKind.SPLIT, 2.0))
    assert settle_actions(table(calm()), Adjustment.TOTAL, listed).actions == (listed[1],)
    assert settle_actions(table(calm()), Adjustment.UNKNOWN, listed).actions == listed
    assert set(settle_actions(table(calm(EX_ROW, 2.0)), Adjustment.TOTAL, listed).actions) == set(listed)


@pytest.mark.parametrize(
    ("stated", "notes"),
    [(Adjustment.UNKNOWN, (PRICE_RETURNS,)), (Adjustment.SPLIT, (PRICE_RETURNS,)), (Adjustment.TOTAL, ())],
)
def test_bare_closes_are_price_returns_unless_they_are_adjusted(stated: Adjustment, notes: tuple[str, ...]) -> None:
    found = settle_actions(table(calm()), stated, None)
    assert (found.actions, found.adjustment, found.notes) == ((), stated, notes)


def test_a_vendor_file_as_traded_gives_its_split_on_its_day(tmp_path: Path) -> None:
    (tmp_path / "daily_adjusted_MADE.csv").write_text(
        "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient\n"
        "2018-12-28,101,102,99,100,100,500,0,1\n2018-12-27,100,101,99,100,100,500,0,4\n"
        "2018-12-26,400,404,396,400,98,100,8,1\n2018-12-24,404,408,400,404,98.98,100,0,1\n"
    )
    source = FilesSource(tmp_path)
    assert source.fetch("MADE", None, AT).bars["close"].tolist() == [101.0, 100.0, 100.0, 100.0]
    eve = source.fetch("MADE", None, datetime(2018, 12, 26, 22, tzinfo=UTC))
    assert eve.bars["close"].tolist() == [404.0, 400.0]
    assert eve.bars["volume"].tolist() == [100.0, 100.0]
