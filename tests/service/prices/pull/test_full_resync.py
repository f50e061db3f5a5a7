"""Full resync: each symbol once in twenty sessions, and the effect of the differences found."""

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from service.market.exchange_calendar import get_calendar
from service.prices.adjustment.corporate_actions import Action, ActionKind
from service.prices.pull.full_resync import SHARE, symbols_to_resync
from service.prices.quarantine.symbol_holds import SymbolHold, list_holds, raise_hold
from service.vocabulary import QuarantineState
from tests.support.fakes import JANUARY, World, bars_frame, evening
from tests.support.stored_bars import read_bars

FEBRUARY = [date(2024, 2, day) for day in (1, 2, 5, 6, 7, 8, 9)]
DAYS = [*JANUARY, *FEBRUARY]
CLOSES = [100.0 + row for row in range(len(DAYS))]


def closes(world: World) -> list[float]:
    with world.database.reading() as connection:
        return read_bars(connection, "GE").close.tolist()


def test_every_symbol_is_fetched_whole_once_in_twenty_sessions(world: World) -> None:
    names = [f"S{number:03}" for number in range(200)]
    pulled = [replace(instrument, first_session=JANUARY[0]) for instrument in world.instruments(*names)]
    sessions = get_calendar("XNYS", date(2024, 1, 1), date(2024, 12, 31)).sessions(date(2024, 3, 1), date(2024, 3, 28))
    assert len(sessions) == SHARE == 20
    drawn = Counter(symbol for session in sessions for symbol in symbols_to_resync(pulled, session, get_calendar))
    assert drawn == Counter(names)
    counts = [len(symbols_to_resync(pulled, session, get_calendar)) for session in sessions]
    assert max(counts) <= 25, "ten per session on average, never many more"


def test_a_symbol_without_bars_is_left_out(world: World) -> None:
    sessions = JANUARY[:20]
    assert not any(symbols_to_resync(world.instruments("GE"), session, get_calendar) for session in sessions)


@pytest.fixture
def resync_session(world: World) -> date:
    """Return Tuesday 6 February, when GE is fetched whole; all earlier sessions are stored."""
    world.source.bars["GE"] = bars_frame(DAYS, CLOSES)
    world.source.can_replay = False
    for session in (JANUARY[0], JANUARY[-1], FEBRUARY[2]):
        assert world.pull(session)["GE"].state == "ok"
    return FEBRUARY[3]


def test_an_old_correction_is_found(world: World, resync_session: date) -> None:
    world.source.bars["GE"] = bars_frame(DAYS, [*CLOSES[:2], 109.0, *CLOSES[3:]])
    assert world.pull(resync_session)["GE"].counts == {"revised": 1, "added": 1}
    assert world.source.asked[-1] == ("GE", JANUARY[0])
    assert closes(world)[2] == 109.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([*CLOSES[:2], 30.0, *CLOSES[3:]], "is 0.294118 times the stored one: too far for a correction"),
        ([*(close / 3 for close in CLOSES[:9]), *CLOSES[9:]], "is 0.333333 times the stored one"),
    ],
)
def test_a_suspect_old_change_does_not_block_new_bars(
    world: World, resync_session: date, changed: list[float], words: str
) -> None:
    world.source.bars["GE"] = bars_frame(DAYS, changed)
    place = DAYS.index(resync_session)
    assert world.pull(resync_session)["GE"].state == "ok"
    assert closes(world) == CLOSES[: place + 1]
    with world.database.reading() as connection:
        (record,) = list_holds(connection, ["GE"], QuarantineState.OPEN)
    assert record.reason.startswith("compared as a whole, the close of 2024-01-")
    assert words in record.reason


def test_a_split_found_by_a_resync_confirms_the_hold(world: World, resync_session: date) -> None:
    with world.database.transaction() as connection:
        raise_hold(
            connection, "GE", SymbolHold.BASIS, "half, and no split explains it", FEBRUARY[2], evening(FEBRUARY[2])
        )
    world.source.bars["GE"] = bars_frame(DAYS, [close / 2 for close in CLOSES])
    world.source.actions["GE"] = (Action(resync_session, ActionKind.SPLIT, 2.0),)
    assert world.pull(resync_session)["GE"].state == "ok"
    assert closes(world)[0] == CLOSES[0] / 2
    with world.database.reading() as connection:
        assert [record.state for record in list_holds(connection, ["GE"])] == ["confirmed"]


def test_a_history_of_another_company_is_put_on_hold(world: World, resync_session: date) -> None:
    world.source.bars["GE"] = bars_frame(DAYS[8:], CLOSES[8:])
    assert world.pull(resync_session)["GE"].state == "ok"
    with world.database.reading() as connection:
        (record,) = list_holds(connection, ["GE"], QuarantineState.OPEN)
    assert record.reason.startswith("compared as a whole, it lacks 8 of the ")
    assert closes(world) == CLOSES[: DAYS.index(resync_session) + 1]


def test_a_recorded_source_is_never_fetched_whole_again(world: World, resync_session: date) -> None:
    world.source.can_replay = True
    world.pull(resync_session)
    assert world.source.asked[-1][1] > JANUARY[0]  # type: ignore[operator]
