"""Panels straight from a source: the same frames as a database would give, and what is left out."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from service.backtest.prices import fetch_all, group_panels
from service.errors import SettingsError
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


def test_frames_stand_on_their_calendars_with_holes_and_adjusted_prices() -> None:
    other = Walk("BBB", date(2012, 1, 3), date(2012, 12, 20), seed=4)
    source = RecordedWalks([NYSE, TOKYO, other])
    fetched, refused = fetch_all(source, ["AAA", "7203.T", "BBB"], settings(), AT)
    assert refused == {}
    (group,) = group_panels(fetched, ())
    aaa, tokyo, _ = group.panel.frames
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
    np.testing.assert_allclose(known[row:], raw[row:], rtol=1e-12)
    np.testing.assert_allclose(known[:row], raw[:row] * (1 - 1.5 / raw[row - 1]), rtol=1e-12)


def test_sessions_after_the_record_are_known_for_its_newest_forecasts() -> None:
    fetched, _ = fetch_all(RecordedWalks([NYSE]), ["AAA"], settings(), AT)
    (group,) = group_panels(fetched, ())
    # the NYSE was closed on Christmas
    assert [str(day) for day in group.following["AAA"]] == ["2012-12-21", "2012-12-24", "2012-12-26"]


def test_groups_have_panels_of_their_own_with_the_same_references() -> None:
    coin = Settings(source="sample", groups=("BTC-USD=crypto",))
    fetched, _ = fetch_all(RecordedWalks([COIN, NYSE]), ["BTC-USD", "AAA"], coin, AT)
    references, _ = fetch_all(RecordedWalks([TOKYO]), ["7203.T"], coin, AT)
    panels = group_panels(fetched, references)
    assert [each.group for each in panels] == ["crypto", "equity"]
    assert all(list(each.panel.references) == ["7203.T"] for each in panels)


def test_a_day_that_nobody_of_an_exchange_traded_while_others_did_was_no_session() -> None:
    storm = date(2012, 8, 15)
    alone = Walk("AAA", date(2012, 1, 3), date(2012, 12, 20), holes=frozenset({storm}))
    both = group_panels(fetch_all(RecordedWalks([alone, TOKYO]), ["AAA", "7203.T"], settings(), AT)[0], ())[0]
    assert np.datetime64(storm) not in both.panel.frames[0].sessions
    only = group_panels(fetch_all(RecordedWalks([alone]), ["AAA"], settings(), AT)[0], ())[0]
    assert np.isnan(only.panel.frames[0].close[only.panel.frames[0].sessions == np.datetime64(storm)]).all()


def test_a_reference_that_ends_sooner_is_masked_and_never_old() -> None:
    ended = Walk("SPY", date(2012, 1, 3), date(2012, 6, 29), seed=5)
    source = RecordedWalks([NYSE, ended])
    fetched, _ = fetch_all(source, ["AAA"], settings(), AT)
    references, _ = fetch_all(source, ["SPY"], settings(), AT)
    spy = group_panels(fetched, references)[0].panel.references["SPY"]
    assert str(spy.sessions[-1]) == "2012-12-20"
    assert np.isnan(spy.close[spy.sessions > np.datetime64("2012-06-29")]).all()


def test_what_is_not_there_is_told_and_the_rest_goes_on() -> None:
    fetched, refused = fetch_all(RecordedWalks([NYSE]), ["NONE", "AAA"], settings(), AT)
    assert [one.symbol for one in fetched] == ["AAA"]
    assert "no such symbol" in refused["NONE"]
    with pytest.raises(SettingsError, match="is not a symbol"):
        fetch_all(RecordedWalks([NYSE]), ["a b"], settings(), AT)


def test_only_final_bars_count() -> None:
    early = datetime(2012, 3, 5, 21, 30, tzinfo=UTC)  # after Monday's close, before it is final
    fetched, _ = fetch_all(RecordedWalks([NYSE]), ["AAA"], settings(), early)
    assert str(fetched[0].rows.sessions[-1]) == "2012-03-02"
