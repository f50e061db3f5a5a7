"""Whatever the instant, a replayed history tells the same adjusted returns as the full record."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.market.exchange_calendar import get_calendar
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.sources.base import Action, ActionKind, FetchedPrices, InstrumentMeta, PriceSource
from service.prices.sources.files import FilesSource
from service.prices.sources.replay import RecordedSeries, recorded_series, replay
from service.prices.sources.sample import SampleSource
from tests.support.paths import PRICES

FULL = datetime(2018, 12, 31, 23, tzinfo=UTC)


def adjusted_returns(history: FetchedPrices) -> NDArray[np.float64]:
    closes = history.bars["close"].to_numpy()
    sessions = history.bars.index.to_numpy().astype("datetime64[D]")
    return np.diff(np.log(closes * adjustment_factors(sessions, closes, history.actions)))


def assert_same_returns(then: FetchedPrices, full: FetchedPrices, at: datetime) -> None:
    rows = len(then.bars)
    np.testing.assert_allclose(adjusted_returns(then), adjusted_returns(full)[: rows - 1], rtol=0, atol=1e-12)
    assert all(action.ex_date <= at.date() for action in then.actions)
    assert then.bars.index[-1].date() <= at.date()


@cache
def source(spec: str) -> PriceSource:
    return SampleSource() if spec == "sample" else FilesSource(PRICES)


def check(spec: str, symbol: str, at: datetime) -> None:
    assert_same_returns(source(spec).fetch(symbol, None, at), source(spec).fetch(symbol, None, FULL), at)


INSTANTS = st.datetimes(datetime(2000, 3, 3), datetime(2013, 2, 28), timezones=st.just(UTC))  # noqa: DTZ001


@settings(max_examples=60, deadline=None)
@given(symbol=st.sampled_from(["AAPL", "IBM", "MSFT"]), at=INSTANTS)
def test_the_sample(symbol: str, at: datetime) -> None:
    check("sample", symbol, at)


@pytest.mark.skipif(not PRICES.is_dir(), reason="the recorded prices of ../shared/prices are not here")
@settings(max_examples=60, deadline=None)
@given(symbol=st.sampled_from(["AAPL", "HON", "NVDA", "C", "ADSK", "SPY", "^VIX"]), at=INSTANTS)
def test_recorded_files_with_actions_and_with_factors_only(symbol: str, at: datetime) -> None:
    if not (symbol == "SPY" and at < datetime(2000, 3, 10, tzinfo=UTC)):
        check("files", symbol, at)


SESSIONS = get_calendar("XNYS", date(2018, 1, 1)).table(date(2018, 1, 2), date(2018, 6, 29))
EX_ROWS = st.integers(1, len(SESSIONS) - 1)


@st.composite
def records(draw: st.DrawFn) -> RecordedSeries:
    """A walk with any mix of splits and dividends, several on one day included."""
    seed = draw(st.integers(0, 2**16))
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, len(SESSIONS))))
    splits = draw(st.lists(st.tuples(EX_ROWS, st.sampled_from([2.0, 3.0, 1.5, 0.1, 7.0])), max_size=4))
    dividends = draw(st.lists(st.tuples(EX_ROWS, st.floats(0.01, 1.0)), max_size=4))
    actions = [Action(SESSIONS.sessions[row].astype(object), ActionKind.SPLIT, ratio) for row, ratio in splits]
    actions += [Action(SESSIONS.sessions[row].astype(object), ActionKind.DIVIDEND, cash) for row, cash in dividends]
    bars = np.column_stack([closes, closes, closes, closes, np.full(len(closes), 1e6)])
    return recorded_series("MADE", SESSIONS.sessions.copy(), bars, tuple(actions), InstrumentMeta(calendar="XNYS"))


@settings(deadline=None)
@given(record=records(), hours=st.integers(48, 24 * 170))
def test_any_mix_of_actions(record: RecordedSeries, hours: int) -> None:
    at = datetime(2018, 1, 2, 15, tzinfo=UTC) + timedelta(hours=hours)
    assert_same_returns(replay(record, None, at), replay(record, None, FULL), at)


@settings(deadline=None)
@given(record=records(), hours=st.integers(48, 24 * 170), noise=st.integers(0, 2**16))
def test_what_comes_later_never_changes_what_was_seen(record: RecordedSeries, hours: int, noise: int) -> None:
    """No look-ahead: other rows after the instant, the same answer; a later split scales it at most."""
    at = datetime(2018, 1, 2, 15, tzinfo=UTC) + timedelta(hours=hours)
    seen = replay(record, None, at)
    bars = record.bars.copy()
    bars[len(seen.bars) :] = np.random.default_rng(noise).uniform(1, 2, size=(len(bars) - len(seen.bars), 5))
    other = recorded_series("MADE", record.sessions.copy(), bars, record.actions, record.meta)

    again = replay(other, None, at)

    assert again.actions == seen.actions
    assert again.bars.equals(seen.bars)
