"""What must hold for any prices: re-basing moves no return, frames end at their instant, repetition writes nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from service.db.migrate import upgrade
from service.db.session import Database
from service.db.tables import bar_revisions, bars, change_counters, instruments, quarantine, sessions
from service.prices.adjustment.adjust import adjustment_factors
from service.prices.panel import PanelQuery, load_panel
from service.prices.sources.base import Action, ActionKind
from service.settings import Settings
from tests.support.fakes import JANUARY, FakeSource, World, bars_frame

ROWS = len(JANUARY)
DAYS = np.array(JANUARY, "datetime64[D]")
prices = st.lists(st.floats(1.0, 500.0), min_size=ROWS, max_size=ROWS)
steps = st.lists(st.floats(-0.1, 0.1), min_size=ROWS, max_size=ROWS)
rows = st.integers(0, ROWS - 1)
slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@contextmanager
def new_world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'test.db'}")
        upgrade(database)
        yield World(database, FakeSource(), Settings(data_dir=Path(folder)))
        database.close()


def everything(world: World) -> list[tuple[object, ...]]:
    tables = (bars, bar_revisions, instruments, quarantine, sessions, change_counters)
    with world.database.reading() as connection:
        return [tuple(row) for table in tables for row in connection.execute(select(table))]


@given(prices, st.sampled_from([0.1, 0.5, 1.5, 2.0, 10.0]), st.lists(st.tuples(rows, st.floats(0.001, 0.5))))
@settings(max_examples=200, deadline=None)
def test_adjusted_returns_do_not_change_under_a_rebasing(
    closes: list[float], split: float, dividends: list[tuple[int, float]]
) -> None:
    close = np.array(closes)
    paid = [Action(JANUARY[row], ActionKind.DIVIDEND, cash) for row, cash in dividends]
    rebased = [Action(a.ex_date, a.kind, a.value / split) for a in paid]
    before = close * adjustment_factors(DAYS, close, paid)
    after = close / split * adjustment_factors(DAYS, close / split, rebased)
    np.testing.assert_allclose(np.diff(np.log(after)), np.diff(np.log(before)), atol=1e-9)


@given(prices, st.lists(st.tuples(rows, st.floats(0.001, 0.9))), st.integers(1, ROWS))
@settings(max_examples=200, deadline=None)
def test_factors_need_nothing_before_the_window(
    closes: list[float], dividends: list[tuple[int, float]], cut: int
) -> None:
    close = np.array(closes)
    paid = [Action(JANUARY[row], ActionKind.DIVIDEND, cash) for row, cash in dividends]
    whole = adjustment_factors(DAYS, close, paid)
    np.testing.assert_allclose(adjustment_factors(DAYS[-cut:], close[-cut:], paid), whole[-cut:], rtol=1e-12)


@given(steps, st.lists(rows, max_size=5), rows, st.integers(0, 23), st.integers(1, ROWS))
@slow
def test_frames_hold_nothing_after_their_instant(
    moves: list[float], holes: list[int], day: int, hour: int, newest: int
) -> None:
    """Whatever comes later, a frame up to an instant is the frame of a record that ends there."""
    close = 100 * np.exp(np.cumsum(moves))
    close[holes] = np.nan
    until = datetime(2024, 1, JANUARY[day].day, hour, tzinfo=UTC)
    paid = tuple(Action(JANUARY[row], ActionKind.DIVIDEND, 0.5) for row in (4, 9, 14))
    found = []
    for count in (ROWS, day + 1):
        with new_world() as world:
            world.source.bars["AAA"] = bars_frame(JANUARY[:count], close[:count].tolist())
            world.source.actions["AAA"] = tuple(action for action in paid if action.ex_date <= JANUARY[count - 1])
            world.pull(JANUARY[-1])
            for limit in (None, newest):
                query = PanelQuery(("AAA",), (), until, world.settings.settle, limit)
                with world.database.reading() as connection:
                    found.append(load_panel(connection, query).histories[0])
    for frame, ended in zip(found[:2], found[2:], strict=True):
        assert (frame.final_at <= np.datetime64(until.replace(tzinfo=None))).all()
        np.testing.assert_array_equal(frame.sessions, ended.sessions)
        np.testing.assert_array_equal(frame.close, ended.close)
        np.testing.assert_array_equal(frame.open, ended.open)


@given(
    st.lists(st.floats(-3, 400) | st.sampled_from([np.nan, np.inf, 0.0]), min_size=1, max_size=ROWS),
    st.lists(st.tuples(rows, st.sampled_from(["open", "high", "low", "volume"]), st.floats(-5, 500)), max_size=6),
)
@slow
def test_a_second_identical_pull_writes_nothing(closes: list[float], odd: list[tuple[int, str, float]]) -> None:
    with new_world() as world:
        changed = {(row, name): value for row, name, value in odd if row < len(closes)}
        world.source.bars["AAA"] = bars_frame(JANUARY[: len(closes)], closes, changed)
        session = JANUARY[len(closes) - 1]
        world.pull(session)
        with world.database.reading() as connection:
            kept = connection.execute(select(bars.c.close)).scalars().all()
        assert all(0 < close < np.inf for close in kept)
        before = everything(world)
        world.pull(session)
        if kept:  # where nothing was kept the next pull is a first one again
            assert everything(world) == before


@given(steps, st.integers(11, ROWS - 1), st.sampled_from([0.5, 2.0, 4.0]), st.integers(1, 5))
@slow
def test_a_replayed_split_moves_no_return(moves: list[float], at: int, split: float, ahead: int) -> None:
    """Pulled before and after the split, or only after it: the same frame up to the basis."""
    close = 100 * np.exp(np.cumsum(moves))
    rebased = close / split
    found = []
    for early in (True, False):
        with new_world() as world:
            if early:
                world.source.bars["AAA"] = bars_frame(JANUARY[:at], close[:at].tolist())
                world.pull(JANUARY[at - 1])
            world.source.bars["AAA"] = bars_frame(JANUARY, rebased.tolist())
            world.source.actions["AAA"] = (Action(JANUARY[at], ActionKind.SPLIT, split),)
            session = JANUARY[min(at + ahead, ROWS - 1)]
            assert world.pull(session)["AAA"].state == "ok"
            query = PanelQuery(("AAA",), (), datetime(2024, 2, 1, tzinfo=UTC), world.settings.settle)
            with world.database.reading() as connection:
                found.append(load_panel(connection, query).histories[0].close)
    np.testing.assert_array_equal(found[0], found[1])
