"""Withdrawn splits, cut answers and sources without actions, with a real database."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from service.db.tables import corporate_action_revisions
from service.prices.quarantine.symbol_holds import list_holds
from service.prices.repository import read_actions
from service.prices.sources.base import Action, ActionKind, FetchedPrices
from tests.support.fakes import JANUARY, FakeSource, World, bars_frame
from tests.support.stored_bars import read_bars

CLOSES = [float(price) for price in range(100, 121)]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def dividend(row: int, value: float) -> Action:
    return Action(JANUARY[row], ActionKind.DIVIDEND, value)


def split(row: int, value: float) -> Action:
    return Action(JANUARY[row], ActionKind.SPLIT, value)


def serve(world: World, count: int, *actions: Action, halved: int = 0, symbol: str = "AAA") -> None:
    prices = [price / 2 if row < halved else price for row, price in enumerate(CLOSES[:count])]
    world.source.bars[symbol] = bars_frame(JANUARY[:count], prices)
    world.source.actions[symbol] = actions


def actions(world: World, symbol: str = "AAA") -> tuple[Action, ...]:
    with world.database.reading() as connection:
        return read_actions(connection, symbol)


def test_a_split_that_the_closes_undo_is_withdrawn(world: World) -> None:
    serve(world, 15, dividend(3, 0.5), split(12, 2.0), halved=12)
    world.pull(JANUARY[14])
    serve(world, 16, dividend(3, 1.0))
    assert world.pull(JANUARY[15])["AAA"].state == "ok"
    assert actions(world) == (dividend(3, 1.0),)
    with world.database.reading() as connection:
        assert read_bars(connection, "AAA").close.tolist() == CLOSES[:16]
        gone = connection.execute(select(corporate_action_revisions.c.kind)).scalars().all()
    assert (gone, world.instruments("AAA")[0].basis) == (["split"], 2)


def test_a_split_that_is_only_left_out_stays(world: World) -> None:
    serve(world, 15, split(12, 2.0), halved=12)
    world.pull(JANUARY[14])
    serve(world, 16, halved=12)
    assert world.pull(JANUARY[15])["AAA"].state == "ok"
    assert actions(world) == (split(12, 2.0),)


def test_a_split_whose_ex_date_moves_replaces_the_history(world: World) -> None:
    serve(world, 15, split(12, 2.0), halved=12)
    world.pull(JANUARY[14])
    serve(world, 16, split(13, 2.0), halved=13)
    assert world.pull(JANUARY[15])["AAA"].state == "ok"
    assert actions(world) == (split(13, 2.0),)
    with world.database.reading() as connection:
        assert read_bars(connection, "AAA").close[11:14].tolist() == [55.5, 56.0, 113.0]


def test_a_whole_history_without_its_dividends_withdraws_none(world: World) -> None:
    known = tuple(dividend(row, 0.5) for row in (1, 2, 3, 4, 5))
    serve(world, 20, *known, symbol="FFF")
    world.pull(JANUARY[19])
    serve(world, 21, symbol="FFF")
    world.source.can_replay = False
    world.pull(JANUARY[20])  # the session on which the whole history of FFF is fetched
    assert world.source.asked[-1] == ("FFF", JANUARY[0])
    assert actions(world, "FFF") == known
    with world.database.reading() as connection:
        (hold,) = list_holds(connection, ["FFF"])
    assert "it lacks 5 of the 5 stored corporate actions" in hold.reason


class Silent(FakeSource):
    """A source without actions."""

    def fetch(self, *asked: object) -> FetchedPrices:
        """Return the bars alone."""
        found = super().fetch(*asked)  # type: ignore[arg-type]
        return FetchedPrices(found.symbol, found.bars, (), found.meta, states_actions=False)


def test_a_source_without_actions_withdraws_none(world: World) -> None:
    serve(world, 15, dividend(13, 0.5))
    world.pull(JANUARY[14])
    silent = Silent(bars={"AAA": bars_frame(JANUARY, CLOSES)})
    world.source = silent
    world.pull(JANUARY[15])
    assert actions(world) == (dividend(13, 0.5),)


def test_a_held_dividend_is_fetched_with_the_session_before_it(world: World) -> None:
    serve(world, 15, dividend(2, 30.0))
    world.pull(JANUARY[14])
    world.pull(JANUARY[15])
    assert world.source.asked[-1] == ("AAA", JANUARY[2] - timedelta(days=10))
