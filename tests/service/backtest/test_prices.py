"""Panels read directly from a source: the same price histories as from a database, and missing symbols."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from service.backtest.prices import fetch_all, group_panels
from service.errors import SettingsError
from service.prices.sources.base import Action, ActionKind, FetchedPrices
from service.settings import Settings
from tests.support.recorded import RecordedWalks, Walk

AT = datetime(2012, 12, 31, 23, 59, tzinfo=UTC)
SPLIT, EX_DATE, HOLE = date(2012, 6, 4), date(2012, 3, 1), date(2012, 5, 7)
NYSE = Walk("AAA", date(2012, 1, 3), date(2012, 12, 20), splits={SPLIT: 2.0}, dividends={EX_DATE: 1.5},
            holes=frozenset({HOLE}))  # fmt: skip
TOKYO = Walk("7203.T", date(2012, 1, 4), date(2012, 12, 20), calendar="XTKS", seed=2)
COIN = Walk("BTC-USD", date(2012, 3, 1), date(2012, 12, 20), calendar="24/7", seed=3)


def settings() -> Settings:
    return Settings(source="sample")


def test_histories_are_on_their_calendars_with_holes_and_adjusted_prices() -> None:
    other = Walk("BBB", date(2012, 1, 3), date(2012, 12, 20), seed=4)
    source = RecordedWalks([NYSE, TOKYO, other])
    fetched, missing = fetch_all(source, ["AAA", "7203.T", "BBB"], settings(), AT)
    assert missing == {}
    (group,) = group_panels(fetched, ())
    aaa, tokyo, _ = group.panel.histories
    assert (aaa.calendar, tokyo.calendar, group.group) == ("XNYS", "XTKS", "equity")
    assert str(aaa.sessions[0]) == "2012-01-03"
    assert str(aaa.sessions[-1]) == "2012-12-20"
    assert np.isnan(aaa.close[aaa.sessions == np.datetime64(HOLE)]).all()
    assert int(np.isnan(aaa.close).sum()) == 1
    # New York closed at 21:00 UTC on 3 January and is final 90 minutes later; Tokyo at 06:00
    assert str(aaa.final_at[0]) == "2012-01-03T22:30:00"
    assert str(tokyo.final_at[0]) == "2012-01-04T07:30:00"
    raw = source.fetch("AAA", None, AT).bars["close"].to_numpy()
    known = aaa.close[~np.isnan(aaa.close)]
    row = int(np.searchsorted(aaa.sessions, np.datetime64(EX_DATE)))
    # On the basis of the first bar: a dividend raises the closes from its ex-date on.
    np.testing.assert_array_equal(known[:row], raw[:row])
    np.testing.assert_allclose(known[row:], raw[row:] / (1 - 1.5 / raw[row - 1]), rtol=1e-12)


def test_the_sessions_after_the_last_bar_are_known() -> None:
    fetched, _ = fetch_all(RecordedWalks([NYSE]), ["AAA"], settings(), AT)
    (group,) = group_panels(fetched, ())
    # the NYSE was closed on Christmas
    assert [str(day) for day in group.following["AAA"]] == ["2012-12-21", "2012-12-24", "2012-12-26"]


def test_each_group_has_a_panel_with_the_same_references() -> None:
    coin = Settings(source="sample", groups=("BTC-USD=crypto",))
    fetched, _ = fetch_all(RecordedWalks([COIN, NYSE]), ["BTC-USD", "AAA"], coin, AT)
    references, _ = fetch_all(RecordedWalks([TOKYO]), ["7203.T"], coin, AT)
    panels = group_panels(fetched, references)
    assert [each.group for each in panels] == ["crypto", "equity"]
    assert all(list(each.panel.references) == ["7203.T"] for each in panels)


def test_a_date_on_which_only_other_exchanges_traded_is_no_session() -> None:
    storm = date(2012, 8, 15)
    alone = Walk("AAA", date(2012, 1, 3), date(2012, 12, 20), holes=frozenset({storm}))
    both = group_panels(fetch_all(RecordedWalks([alone, TOKYO]), ["AAA", "7203.T"], settings(), AT)[0], ())[0]
    assert np.datetime64(storm) not in both.panel.histories[0].sessions
    only = group_panels(fetch_all(RecordedWalks([alone]), ["AAA"], settings(), AT)[0], ())[0]
    assert np.isnan(only.panel.histories[0].close[only.panel.histories[0].sessions == np.datetime64(storm)]).all()


def test_a_reference_that_ends_earlier_is_missing_afterwards() -> None:
    ended = Walk("SPY", date(2012, 1, 3), date(2012, 6, 29), seed=5)
    source = RecordedWalks([NYSE, ended])
    fetched, _ = fetch_all(source, ["AAA"], settings(), AT)
    references, _ = fetch_all(source, ["SPY"], settings(), AT)
    spy = group_panels(fetched, references)[0].panel.references["SPY"]
    assert str(spy.sessions[-1]) == "2012-12-20"
    assert np.isnan(spy.close[spy.sessions > np.datetime64("2012-06-29")]).all()


def test_a_missing_symbol_is_reported_and_the_others_continue() -> None:
    fetched, missing = fetch_all(RecordedWalks([NYSE]), ["NONE", "AAA"], settings(), AT)
    assert [prices.symbol for prices in fetched] == ["AAA"]
    assert "no such symbol" in missing["NONE"]
    with pytest.raises(SettingsError, match="is not a symbol"):
        fetch_all(RecordedWalks([NYSE]), ["a b"], settings(), AT)


def test_only_final_bars_count() -> None:
    early = datetime(2012, 3, 5, 21, 30, tzinfo=UTC)  # after Monday's close, before it is final
    fetched, _ = fetch_all(RecordedWalks([NYSE]), ["AAA"], settings(), early)
    assert str(fetched[0].rows.sessions[-1]) == "2012-03-02"


class Spoiled(RecordedWalks):
    """Records of which one symbol's closes and actions are replaced."""

    def __init__(self, walks: Sequence[Walk], closes: Mapping[date, float], actions: tuple[Action, ...] = ()) -> None:
        super().__init__(walks)
        self._closes, self._actions = closes, actions

    def fetch(self, symbol: str, start: date | None, at: datetime) -> FetchedPrices:
        """Return the record; that of AAA with the given closes and actions."""
        history = super().fetch(symbol, start, at)
        if symbol != "AAA":
            return history
        bars = history.bars.copy()
        for day, close in self._closes.items():
            bars.loc[str(day), ["open", "high", "low", "close"]] = close
        return replace(history, bars=bars, actions=self._actions or history.actions)


def test_a_held_session_is_not_a_closure() -> None:
    """The only symbol of New York jumps on a day on which Tokyo trades: the next return must not span the jump."""
    day = date(2012, 8, 15)
    source = Spoiled([Walk("AAA", date(2012, 1, 3), date(2012, 12, 20)), TOKYO], {day: 5_000.0})
    fetched, _ = fetch_all(source, ["AAA", "7203.T"], settings(), AT)
    assert fetched[0].held.astype(str).tolist() == ["2012-08-15"]
    history = group_panels(fetched, ())[0].panel.histories[0]
    assert np.isnan(history.close[history.sessions == np.datetime64(day)]).tolist() == [True]


def test_later_bars_decide_nothing_about_a_session() -> None:
    """A spike of four sessions: that the old level is back on 20 August was not known before."""
    spike = {date(2012, 8, day): 70.0 for day in (14, 15, 16, 17)}
    source = Spoiled([Walk("AAA", date(2012, 1, 3), date(2012, 12, 20), begin=31.0)], spike)
    (whole,), _ = fetch_all(source, ["AAA"], settings(), AT)
    for day in (14, 15, 16, 17, 20, 21):
        at = datetime(2012, 8, day, 23, 59, tzinfo=UTC)
        (known,), _ = fetch_all(source, ["AAA"], settings(), at)
        until = np.datetime64(at.date())
        assert known.held.tolist() == whole.held[whole.held <= until].tolist(), day


def test_a_suspect_dividend_is_left_out() -> None:
    """16.0 for 0.16 of a price of about 50 that does not move: no jump, but a return of 38 %."""
    walk = Walk("AAA", date(2012, 1, 3), date(2012, 12, 20))
    wrong = (Action(date(2012, 8, 15), ActionKind.DIVIDEND, 16.0),)
    (prices,), _ = fetch_all(Spoiled([walk], {}, wrong), ["AAA"], settings(), AT)
    assert prices.factors.tolist() == [1.0] * len(prices.rows)
    small = (Action(date(2012, 8, 15), ActionKind.DIVIDEND, 0.16),)
    (prices,), _ = fetch_all(Spoiled([walk], {}, small), ["AAA"], settings(), AT)
    assert 1.0 < prices.factors[-1] < 1.01
