"""The rolling safety net: each symbol once in twenty sessions, and what it does with what it finds."""

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


def test_every_symbol_is_symbols_to_resync_once_in_twenty_sessions(world: World) -> None:
    names = [f"S{number:03}" for number in range(200)]
    known = [replace(one, first_session=JANUARY[0]) for one in world.instruments(*names)]
    sessions = get_calendar("XNYS", date(2024, 1, 1), date(2024, 12, 31)).sessions(date(2024, 3, 1), date(2024, 3, 28))
    assert len(sessions) == SHARE == 20
    drawn = Counter(symbol for session in sessions for symbol in symbols_to_resync(known, session, get_calendar))
    assert drawn == Counter(names)
    sessions_seen = [len(symbols_to_resync(known, session, get_calendar)) for session in sessions]
    assert max(sessions_seen) <= 25, "ten a night on average, never many more"


def test_a_symbol_without_bars_is_left_out(world: World) -> None:
    sessions = JANUARY[:20]
    assert not any(symbols_to_resync(world.instruments("GE"), session, get_calendar) for session in sessions)


@pytest.fixture
def night(world: World) -> date:
    """Tuesday 6 February, when GE is read whole; everything before it is stored."""
    world.source.bars["GE"] = bars_frame(DAYS, CLOSES)
    world.source.can_replay = False
    for session in (JANUARY[0], JANUARY[-1], FEBRUARY[2]):
        assert world.pull(session)["GE"].state == "ok"
    return FEBRUARY[3]


def test_a_correction_far_back_is_found(world: World, night: date) -> None:
    world.source.bars["GE"] = bars_frame(DAYS, [*CLOSES[:2], 109.0, *CLOSES[3:]])
    assert world.pull(night)["GE"].counts == {"revised": 1, "added": 1}
    assert world.source.asked[-1] == ("GE", JANUARY[0])
    assert closes(world)[2] == 109.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ([*CLOSES[:2], 30.0, *CLOSES[3:]], "is 0.294118 times the stored one: too far for a correction"),
        ([*(close / 3 for close in CLOSES[:9]), *CLOSES[9:]], "is 0.333333 times the stored one"),
    ],
)
def test_what_cannot_be_believed_far_back_costs_no_new_bar(
    world: World, night: date, changed: list[float], words: str
) -> None:
    world.source.bars["GE"] = bars_frame(DAYS, changed)
    place = DAYS.index(night)
    assert world.pull(night)["GE"].state == "ok"
    assert closes(world) == CLOSES[: place + 1]
    with world.database.reading() as connection:
        (record,) = list_holds(connection, ["GE"], QuarantineState.OPEN)
    assert record.reason.startswith("compared as a whole, the close of 2024-01-")
    assert words in record.reason


def test_a_split_that_comes_on_such_a_night_confirms_the_doubt(world: World, night: date) -> None:
    with world.database.transaction() as connection:
        raise_hold(
            connection, "GE", SymbolHold.BASIS, "half, and no split explains it", FEBRUARY[2], evening(FEBRUARY[2])
        )
    world.source.bars["GE"] = bars_frame(DAYS, [close / 2 for close in CLOSES])
    world.source.actions["GE"] = (Action(night, ActionKind.SPLIT, 2.0),)
    assert world.pull(night)["GE"].state == "ok"
    assert closes(world)[0] == CLOSES[0] / 2
    with world.database.reading() as connection:
        assert [record.state for record in list_holds(connection, ["GE"])] == ["confirmed"]


def test_a_history_that_became_another_companys_is_doubted(world: World, night: date) -> None:
    world.source.bars["GE"] = bars_frame(DAYS[8:], CLOSES[8:])
    assert world.pull(night)["GE"].state == "ok"
    with world.database.reading() as connection:
        (record,) = list_holds(connection, ["GE"], QuarantineState.OPEN)
    assert record.reason.startswith("compared as a whole, it lacks 8 of the ")
    assert closes(world) == CLOSES[: DAYS.index(night) + 1]


def test_a_record_is_never_symbols_to_resync_again(world: World, night: date) -> None:
    world.source.can_replay = True
    world.pull(night)
    assert world.source.asked[-1][1] > JANUARY[0]  # type: ignore[operator]
