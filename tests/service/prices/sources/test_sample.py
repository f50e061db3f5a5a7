"""The bundled sample against figures of other publications."""

from datetime import UTC, date, datetime
from itertools import pairwise

import numpy as np
import pytest

from service.market.exchange_calendar import get_calendar
from service.prices.sources.base import Action, ActionKind, Record, UnknownSymbol
from service.prices.sources.sample import SampleSource

SAMPLE = SampleSource()
END = datetime(2013, 3, 1, 23, tzinfo=UTC)


def test_name_symbols_span_and_metadata_of_the_sample() -> None:
    assert SAMPLE.name == "sample"
    assert SAMPLE.can_replay
    assert SAMPLE.symbols() == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert SAMPLE.record() == Record(date(2000, 3, 1), date(2013, 3, 1))
    meta = SAMPLE.fetch("IBM", None, END).meta
    assert (meta.exchange, meta.calendar, meta.currency, meta.instrument_type) == ("NYQ", "XNYS", "USD", "EQUITY")


@pytest.mark.parametrize(
    ("symbol", "first", "rows"),
    [
        ("AAPL", date(2000, 3, 1), 3270),
        ("FB", date(2012, 5, 18), 196),
        ("GOOG", date(2004, 8, 19), 2148),
        ("IBM", date(2000, 3, 1), 3270),
        ("MSFT", date(2000, 3, 1), 3270),
    ],
)
def test_every_session_has_a_valid_bar(symbol: str, first: date, rows: int) -> None:
    bars = SAMPLE.fetch(symbol, None, END).bars
    sessions = get_calendar("XNYS", first, date(2013, 3, 1)).sessions(first, date(2013, 3, 1))
    assert [stamp.date() for stamp in bars.index] == sessions
    assert len(bars) == rows
    assert bool((bars["high"] >= bars[["open", "close"]].max(axis=1)).all())
    assert bool((bars["low"] <= bars[["open", "close"]].min(axis=1)).all())
    assert bool((bars > 0).all(axis=None))


def test_apples_actions() -> None:
    # Apple paid 2.65 dollars a quarter from August 2012 and split two for one in 2000 and 2005.
    assert SAMPLE.fetch("AAPL", None, END).actions == (
        Action(date(2000, 6, 21), ActionKind.SPLIT, 2.0),
        Action(date(2005, 2, 28), ActionKind.SPLIT, 2.0),
        Action(date(2012, 8, 9), ActionKind.DIVIDEND, 2.65),
        Action(date(2012, 11, 7), ActionKind.DIVIDEND, 2.65),
        Action(date(2013, 2, 7), ActionKind.DIVIDEND, 2.65),
    )


def test_microsofts_actions() -> None:
    actions = {action.ex_date: action for action in SAMPLE.fetch("MSFT", None, END).actions}
    assert len(actions) == 38
    assert actions[date(2003, 2, 18)].value == 2.0
    assert actions[date(2003, 2, 19)].value == 0.08
    assert actions[date(2004, 11, 15)].value == 3.08, "the special dividend of 3 dollars and the usual 8 cents"
    assert actions[date(2013, 2, 19)].value == 0.23


def test_ibms_dividends() -> None:
    paid = [action.value for action in SAMPLE.fetch("IBM", None, END).actions]
    assert len(paid) == 52
    assert (paid[0], paid[-1]) == (0.13, 0.85)
    assert all(later >= earlier for earlier, later in pairwise(paid))
    assert [SAMPLE.fetch(symbol, None, END).actions for symbol in ("FB", "GOOG")] == [(), ()]


def test_a_split_appears_on_its_day() -> None:
    eve = SAMPLE.fetch("AAPL", date(2005, 2, 24), datetime(2005, 2, 25, 23, tzinfo=UTC))
    assert eve.bars["close"].tolist() == [88.93, 88.99], "as traded"
    assert eve.bars["volume"].iloc[-1] == 16_348_400
    assert eve.actions == ()

    day = SAMPLE.fetch("AAPL", date(2005, 2, 24), datetime(2005, 2, 28, 15, tzinfo=UTC))
    assert day.bars["close"].tolist() == [44.465, 44.495, 44.86]
    assert day.bars["volume"].tolist()[1:] == [32_696_800.0, 11_635_900.0]
    assert day.actions == (Action(date(2005, 2, 28), ActionKind.SPLIT, 2.0),)

    # Two splits are still to come in the spring of 2000: the close of 1 March was 130.31 dollars.
    spring = SAMPLE.fetch("AAPL", None, datetime(2000, 3, 1, 22, tzinfo=UTC))
    np.testing.assert_allclose(spring.bars.to_numpy(), [[118.56, 132.06, 118.5, 130.31, 9_616_100]], rtol=1e-6)


def test_an_unknown_symbol_is_refused_with_the_list_of_symbols() -> None:
    with pytest.raises(UnknownSymbol, match="TSLA: the sample holds AAPL, FB, GOOG, IBM, MSFT only"):
        SAMPLE.fetch("TSLA", None, END)
