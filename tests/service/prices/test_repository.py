"""Corporate actions by symbol, and whether a bar is stored."""

import numpy as np
import pytest

from service.prices.repository import has_bar, read_actions, read_actions_of
from service.prices.sources.base import Action, ActionKind
from tests.support.fakes import JANUARY, World, bars_frame

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
