"""Corporate actions and held-back sessions by symbol, and whether a bar is stored."""

import numpy as np
import pytest
from sqlalchemy import insert

from service.db.tables import quarantine
from service.prices.repository import has_bar, read_actions, read_actions_of, read_held
from service.prices.sources.base import Action, ActionKind
from service.vocabulary import QuarantineState
from tests.support.fakes import JANUARY, World, bars_frame, evening

DIVIDENDS = (Action(JANUARY[1], ActionKind.DIVIDEND, 1.0), Action(JANUARY[3], ActionKind.DIVIDEND, 2.0))


@pytest.fixture
def filled(world: World) -> World:
    world.source.bars |= {
        "AAA": bars_frame(JANUARY[:5], [100.0, 99.0, 100.0, 98.0, 97.0], {(2, "open"): np.nan}),
        "BBB": bars_frame(JANUARY[:2], [5.0, 6.0]),
    }
    world.source.actions["AAA"] = DIVIDENDS
    world.pull(JANUARY[4])
    return world


def test_actions_are_read_from_a_first_ex_date_on(filled: World) -> None:
    with filled.database.reading() as connection:
        assert read_actions(connection, "AAA") == DIVIDENDS
        assert read_actions_of(connection, ["AAA", "BBB"]) == {"AAA": DIVIDENDS, "BBB": ()}
        assert read_actions_of(connection, ["AAA"], first=JANUARY[2]) == {"AAA": DIVIDENDS[1:]}
        assert read_actions_of(connection, ["AAA"], first=JANUARY[3]) == {"AAA": DIVIDENDS[1:]}


def test_a_stored_bar_is_found(filled: World) -> None:
    with filled.database.reading() as connection:
        assert has_bar(connection, "BBB", JANUARY[1])
        assert not has_bar(connection, "BBB", JANUARY[2])


def test_open_and_rejected_rows_hold_bars_back(world: World) -> None:
    world.instruments("AAA", "BBB")
    states = ("open", "rejected", "confirmed", "cleared", "refused", "repaired")
    seen = {"first_seen_at": evening(JANUARY[0]), "last_seen_at": evening(JANUARY[0]), "row": {}, "reason": "jump"}
    with world.database.transaction() as connection:
        for day, state in zip(JANUARY, states, strict=False):
            connection.execute(insert(quarantine).values(symbol="AAA", session=day, state=state, **seen))
        assert read_held(connection, ["AAA", "BBB"]) == {"AAA": JANUARY[:2]}
        assert read_held(connection, ["AAA"], QuarantineState.OPEN) == {"AAA": JANUARY[:1]}
        assert read_held(connection, ["AAA"], QuarantineState.REJECTED) == {"AAA": JANUARY[1:2]}
        assert read_held(connection, ["BBB"]) == {}
        dividend = seen | {"row": {"kind": "dividend", "value": 32.0}}
        connection.execute(insert(quarantine).values(symbol="BBB", session=JANUARY[0], state="open", **dividend))
        assert read_held(connection, ["BBB"]) == {}  # a suspect dividend holds back no bar


@pytest.mark.parametrize("count", [1, 600])
def test_any_number_of_symbols_is_read(world: World, count: int) -> None:
    names = ["AAA", *(f"S{number}" for number in range(1, count))]
    world.instruments("AAA")
    seen = {"first_seen_at": evening(JANUARY[0]), "last_seen_at": evening(JANUARY[0]), "row": {}, "reason": "jump"}
    with world.database.transaction() as connection:
        connection.execute(insert(quarantine).values(symbol="AAA", session=JANUARY[0], state="open", **seen))
        assert read_held(connection, names) == {"AAA": JANUARY[:1]}
