"""Reading bars and actions back."""

import numpy as np
import pytest

from service.prices.repository import Bars, has_bar, newest_session, read_actions, read_actions_of, read_bars
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


def read(world: World, first: int | None = None, last: int | None = None, limit: int | None = None) -> Bars:
    bounds = [None if row is None else JANUARY[row] for row in (first, last)]
    with world.database.reading() as connection:
        return read_bars(connection, "AAA", bounds[0], bounds[1], limit)


def test_all_bars(filled: World) -> None:
    bars = read(filled)
    assert bars.sessions.tolist() == list(JANUARY[:5])
    assert bars.close.tolist() == [100.0, 99.0, 100.0, 98.0, 97.0]
    assert np.isnan(bars.open).tolist() == [False, False, True, False, False]
    # 2 on 100 is 0.98 for the first three, 1 on 100 is 0.99 more for the first.
    assert bars.adjusted_close.tolist() == pytest.approx([97.02, 97.02, 98.0, 98.0, 97.0])


def test_a_part_is_adjusted_as_the_whole(filled: World) -> None:
    whole = read(filled).adjusted_close
    assert read(filled, 1, 2).adjusted_close.tolist() == pytest.approx(whole[1:3].tolist())
    assert read(filled, None, 3, 2).sessions.tolist() == [JANUARY[2], JANUARY[3]]
    assert read(filled, 0, 1, 10).adjusted_close.tolist() == pytest.approx(whole[:2].tolist())


def test_actions_within_bounds(filled: World) -> None:
    with filled.database.reading() as connection:
        assert read_actions(connection, "AAA") == DIVIDENDS
        assert read_actions(connection, "AAA", first=JANUARY[2]) == DIVIDENDS[1:]
        assert read_actions(connection, "AAA", last=JANUARY[1]) == DIVIDENDS[:1]
        assert read_actions_of(connection, ["AAA", "BBB"]) == {"AAA": DIVIDENDS, "BBB": ()}


def test_what_is_newest_and_what_is_there(filled: World) -> None:
    with filled.database.reading() as connection:
        assert newest_session(connection, ["AAA", "BBB", "CCC"]) == {"AAA": JANUARY[4], "BBB": JANUARY[1]}
        assert has_bar(connection, "BBB", JANUARY[1])
        assert not has_bar(connection, "BBB", JANUARY[2])
        assert len(read_bars(connection, "CCC")) == 0
