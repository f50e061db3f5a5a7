"""Price histories: sessions, adjustment, missing bars, and the instant after which nothing is read."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from models.preprocessing.price_history import Panel
from service.errors import NotFound
from service.market.sessions import mark_closed
from service.prices.panel import PanelQuery, load_panel
from service.prices.sources.base import Action, ActionKind, InstrumentMeta
from tests.support.fakes import JANUARY, World, bars_frame, evening

TOKYO = InstrumentMeta(exchange="JPX", currency="JPY")


def load(
    world: World, symbols: tuple[str, ...], until: datetime, rows: int | None = None, references: tuple[str, ...] = ()
) -> Panel:
    with world.database.reading() as connection:
        return load_panel(connection, PanelQuery(symbols, references, until, world.settings.settle, rows))


def days(panel: Panel, row: int = 0) -> list[int]:
    return [day.astype(object).day for day in panel.histories[row].sessions]


def test_a_history_has_a_row_for_every_session(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[1:6], [10.0, 11.0, np.nan, 13.0, 14.0])
    world.pull(JANUARY[7])
    history = load(world, ("AAA",), evening(JANUARY[7])).histories[0]
    assert (history.symbol, history.group, history.calendar) == ("AAA", "equity", "XNYS")
    assert history.sessions.tolist() == list(JANUARY[1:8])  # from the first bar to the newest final session
    assert history.close.tolist()[:2] == [10.0, 11.0]
    assert np.isnan(history.close).tolist() == [False, False, True, False, False, True, True]
    assert history.volume.tolist()[:2] == [1000.0, 1000.0]
    assert history.final_at[0] == np.datetime64("2024-01-03T22:30:00")
    assert history.final_at.dtype == np.dtype("datetime64[s]")


def test_prices_are_adjusted_and_volume_is_not(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [100.0, 100.0, 98.0, 99.0])
    world.source.actions["AAA"] = (Action(JANUARY[2], ActionKind.DIVIDEND, 2.0),)
    world.pull(JANUARY[3])
    history = load(world, ("AAA",), evening(JANUARY[3])).histories[0]
    assert history.close.tolist() == pytest.approx([98.0, 98.0, 98.0, 99.0])
    assert history.high.tolist() == pytest.approx([98.98, 98.98, 98.98, 99.99])
    assert history.volume.tolist() == [1000.0] * 4


def test_an_action_after_the_last_session_is_ignored(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [100.0, 100.0, 98.0, 99.0])
    world.source.actions["AAA"] = (Action(JANUARY[2], ActionKind.DIVIDEND, 2.0),)
    world.pull(JANUARY[3])
    assert load(world, ("AAA",), evening(JANUARY[1])).histories[0].close.tolist() == [100.0, 100.0]


@pytest.mark.parametrize(("minute", "last"), [(29, 3), (30, 4)])
def test_a_bar_is_read_from_close_and_settle_on(world: World, minute: int, last: int) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY, [100.0] * 21)
    world.pull(JANUARY[20])
    assert days(load(world, ("AAA",), datetime(2024, 1, 4, 22, minute, tzinfo=UTC)))[-1] == last


def test_the_newest_rows_equal_the_end_of_the_whole_history(world: World) -> None:
    closes = [100.0 + row for row in range(21)]
    world.source.bars["AAA"] = bars_frame(JANUARY, [*closes[:16], np.nan, *closes[17:]])
    dividends = (JANUARY[3], JANUARY[16], JANUARY[18])
    world.source.actions["AAA"] = tuple(Action(day, ActionKind.DIVIDEND, 3.0) for day in dividends)
    world.pull(JANUARY[20])
    whole = load(world, ("AAA",), evening(JANUARY[20])).histories[0]
    recent = load(world, ("AAA",), evening(JANUARY[20]), rows=6).histories[0]
    assert (len(whole), len(recent)) == (21, 6)
    np.testing.assert_array_equal(recent.close, whole.close[-6:])
    np.testing.assert_array_equal(recent.final_at, whole.final_at[-6:])
    assert len(load(world, ("AAA",), evening(JANUARY[20]), rows=100).histories[0]) == 21


def test_rows_do_not_reach_before_the_first_bar(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY, [100.0] * 21)
    world.source.bars["NEW"] = bars_frame(JANUARY[18:], [5.0] * 3)
    world.pull(JANUARY[20])
    panel = load(world, ("NEW", "AAA"), evening(JANUARY[20]), rows=10)
    assert [history.symbol for history in panel.histories] == ["NEW", "AAA"]
    assert [len(history) for history in panel.histories] == [3, 10]


def test_closed_sessions_have_no_row(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [10.0, 11.0, np.nan, 13.0])
    world.pull(JANUARY[3])
    with world.database.transaction() as connection:
        mark_closed(connection, "XNYS", [JANUARY[2]])
    assert days(load(world, ("AAA",), evening(JANUARY[3]))) == [2, 3, 5]


def test_a_late_bar_reopens_its_session(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:4], [10.0, 11.0, np.nan, 13.0])
    world.pull(JANUARY[3])
    with world.database.transaction() as connection:
        mark_closed(connection, "XNYS", [JANUARY[2]])
    world.source.bars["AAA"] = bars_frame(JANUARY[:5], [10.0, 11.0, 12.0, 13.0, 14.0])
    world.pull(JANUARY[4])
    assert days(load(world, ("AAA",), evening(JANUARY[4]))) == [2, 3, 4, 5, 8]


def test_each_symbol_has_its_own_calendar(world: World) -> None:
    tokyo = (date(2024, 1, 4), date(2024, 1, 5), date(2024, 1, 9))  # the 8th is a holiday there
    world.source.bars |= {"AAA": bars_frame(JANUARY[2:6], [1.0] * 4), "7203.T": bars_frame(tokyo, [9.0] * 3)}
    world.source.metas["7203.T"] = TOKYO
    world.pull(JANUARY[5])
    panel = load(world, ("AAA", "7203.T"), evening(JANUARY[5]))
    assert (days(panel, 0), days(panel, 1)) == ([4, 5, 8, 9], [4, 5, 9])
    # Tokyo closes at 06:00 UTC; New York of the same date is not final then.
    morning = load(world, ("AAA", "7203.T"), datetime(2024, 1, 9, 7, 30, tzinfo=UTC))
    assert (days(morning, 0), days(morning, 1)) == ([4, 5, 8], [4, 5, 9])


def test_references_without_bars_are_left_out(world: World) -> None:
    world.source.bars |= {"AAA": bars_frame(JANUARY[:3], [1.0] * 3), "SPY": bars_frame(JANUARY[:3], [2.0] * 3)}
    world.pull(JANUARY[2])
    world.instruments("^VIX")
    panel = load(world, ("AAA",), evening(JANUARY[2]), references=("SPY", "^VIX", "QQQ"))
    assert list(panel.references) == ["SPY"]
    assert panel.references["SPY"].close.tolist() == [2.0] * 3


def test_a_symbol_without_bars_has_no_rows(world: World) -> None:
    world.instruments("AAA")
    assert len(load(world, ("AAA",), evening(JANUARY[2])).histories[0]) == 0
    assert len(load(world, ("AAA",), evening(JANUARY[2]), rows=5).histories[0]) == 0


def test_a_history_is_empty_before_the_first_bar(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:3], [1.0] * 3)
    world.pull(JANUARY[2])
    assert len(load(world, ("AAA",), evening(JANUARY[0]) - timedelta(days=5)).histories[0]) == 0


def test_a_missing_symbol_is_refused(world: World) -> None:
    with pytest.raises(NotFound, match="AAA"):
        load(world, ("AAA",), evening(JANUARY[2]))


def test_a_held_bar_is_a_break_of_the_history(world: World) -> None:
    """An uncoded split of 2:1 in the fifth session: its bar is held back, the later ones are on the new level."""
    world.source.bars["AAA"] = bars_frame(JANUARY[:8], [100.0, 101.0, 102.0, 103.0, 51.5, 52.0, 53.0, 54.0])
    world.pull(JANUARY[7])
    history = load(world, ("AAA",), evening(JANUARY[7])).histories[0]
    assert np.isnan(history.close).tolist() == [False] * 4 + [True] + [False] * 3
    assert history.breaks.tolist() == [JANUARY[4]]
    assert history.segments.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert load(world, ("AAA",), evening(JANUARY[3])).histories[0].breaks.tolist() == []
    assert load(world, ("AAA",), evening(JANUARY[7]), rows=3).histories[0].breaks.tolist() == []


def test_a_held_spike_is_no_break_of_the_history(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:8], [100.0, 101.0, 102.0, 103.0, 190.0, 104.0, 105.0, 106.0])
    world.pull(JANUARY[7])
    history = load(world, ("AAA",), evening(JANUARY[7])).histories[0]
    assert np.isnan(history.close[4])
    assert history.breaks.tolist() == []


def test_arrow_batches_give_the_histories_that_the_driver_gives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    holes = bars_frame(JANUARY[1:9], [10.0, 11.0, np.nan, 13.0, 14.0, 15.0, 16.0, 17.0])
    world.source.bars["AAA"] = holes
    world.source.bars["BBB"] = bars_frame(JANUARY[:9], [20.0] * 9).assign(volume=np.nan, open=np.nan)
    world.source.bars["CCC"] = bars_frame(JANUARY[:9], [30.0] * 9)
    world.source.metas["CCC"] = TOKYO
    world.source.actions["AAA"] = (Action(JANUARY[5], ActionKind.DIVIDEND, 1.0),)
    world.pull(JANUARY[8])
    names, until = ("CCC", "AAA", "BBB"), evening(JANUARY[8])
    by_driver = [load(world, names, until, rows) for rows in (None, 4)]
    monkeypatch.setattr("service.prices.panel.pays_by_arrow", lambda *_: True)
    monkeypatch.setattr("service.prices.panel._read_rows", None)  # bars are not read by the driver

    for rows, expected in zip((None, 4), by_driver, strict=True):
        for own, other in zip(load(world, names, until, rows).histories, expected.histories, strict=True):
            for name in ("sessions", "final_at", "open", "high", "low", "close", "volume", "breaks"):
                np.testing.assert_array_equal(getattr(own, name), getattr(other, name))
