"""A split, a dividend, or both, between issue and target: pulled, re-based and scored without a faked error."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from service.db.session import Database
from service.db.tables import forecasts, instruments, scores
from service.market.instruments import add_symbols
from service.prices.sources.base import Action, ActionKind
from tests.support.fakes import FakeSource, bars_frame
from tests.support.forecast_factory import Desk, open_desk, random_closes, sessions_until, utc

AS_OF, T = date(2018, 5, 31), date(2018, 6, 1)
DAYS = sessions_until(AS_OF, 80)
BEFORE = [*random_closes(79, 1, sigma=0.01), 100.0]
BEFORE[:79] = [close * 100.0 / BEFORE[78] for close in BEFORE[:79]]


def issue(database: Database, directory: Path, source: FakeSource) -> Desk:
    """Forecast from 100 on the evening of as_of."""
    desk = open_desk(database, directory, utc(2018, 5, 31, 22), source)
    source.bars["AAA"] = bars_frame(DAYS, BEFORE)
    with database.transaction() as connection:
        add_symbols(connection, ["AAA"], utc(2018, 5, 31, 22), {})
    assert desk.pull(AS_OF)["AAA"].state == "ok"
    assert desk.forecast(AS_OF)["AAA"].state == "forecast"
    return desk


def arrive(desk: Desk, source: FakeSource, closes: Sequence[float], *actions: Action) -> None:
    """The evening of T: the source tells the whole history on its newest basis."""
    source.bars["AAA"] = bars_frame([*DAYS, T], closes)
    source.actions["AAA"] = actions
    desk.move(utc(2018, 6, 1, 22))
    assert desk.pull(T)["AAA"].state == "ok"
    assert desk.score(T)["AAA"].state == "scored"


def split(ratio: float) -> Action:
    return Action(T, ActionKind.SPLIT, ratio)


def dividend(value: float) -> Action:
    return Action(T, ActionKind.DIVIDEND, value)


@pytest.mark.parametrize(
    ("closes", "actions", "actual", "basis"),
    [
        ([*BEFORE, 101.0], (), 0.009950330853168083, 1),
        ([*(close / 2 for close in BEFORE), 50.5], (split(2.0),), 0.009950330853168083, 2),
        ([*(close * 10 for close in BEFORE), 1010.0], (split(0.1),), 0.009950330853168083, 2),
        ([*BEFORE, 99.0], (dividend(2.0),), 0.010152371464017908, 1),
        ([*(close / 2 for close in BEFORE), 49.5], (dividend(1.0), split(2.0)), 0.010152371464017908, 2),
    ],
    ids=["nothing", "split", "reverse split", "dividend", "both"],
)
def test_actual_is_the_return_and_nothing_else(
    database: Database,
    tmp_path: Path,
    closes: list[float],
    actions: tuple[Action, ...],
    actual: float,
    basis: int,
) -> None:
    source = FakeSource()
    desk = issue(database, tmp_path, source)
    arrive(desk, source, closes, *actions)
    assert [row.basis for row in desk.rows(instruments)] == [basis]
    assert {(row.last_close, row.basis) for row in desk.rows(forecasts)} == {(100.0, 1)}  # the ledger is not re-based
    first = desk.rows(scores)
    assert len(first) == 2  # T of both strategies
    assert [row.actual for row in first] == pytest.approx([actual, actual], abs=1e-12)
    said = {row.id: row for row in desk.rows(forecasts)}
    assert [row.error for row in first] == pytest.approx([actual - said[row.forecast_id].q50 for row in first])


def test_a_split_after_scoring_gives_no_new_revision(database: Database, tmp_path: Path) -> None:
    source = FakeSource()
    desk = issue(database, tmp_path, source)
    arrive(desk, source, [*BEFORE, 101.0])
    monday = date(2018, 6, 4)
    source.bars["AAA"] = bars_frame([*DAYS, T, monday], [*(close / 4 for close in [*BEFORE, 101.0]), 25.5])
    source.actions["AAA"] = (Action(monday, ActionKind.SPLIT, 4.0),)
    desk.move(utc(2018, 6, 4, 22))
    assert desk.pull(monday)["AAA"].state == "ok"
    desk.score(monday)
    assert [row.basis for row in desk.rows(instruments)] == [2]
    assert {row.revision for row in desk.rows(scores)} == {1}
    newest = [row.actual for row in desk.rows(scores)]
    assert newest == pytest.approx([0.009950330853168083, 0.009950330853168083, 0.0198026272961797], abs=1e-12)
