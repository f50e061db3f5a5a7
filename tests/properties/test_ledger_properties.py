"""Whatever bars come when: the chain holds, every forecast has one newest outcome, every symbol one fate."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.config import Strategy
from service.db.session import Database
from service.db.tables import editions, forecasts, scores
from service.forecasts.ledger import publish, verify
from tests.support.forecast_factory import (
    NOON,
    Desk,
    History,
    Said,
    draft_of,
    open_desk,
    quantiles_of,
    random_closes,
    sessions_until,
    utc,
)

AS_OF, T = date(2018, 5, 31), date(2018, 6, 1)
LAST = date(2018, 6, 19)
DAYS = sessions_until(LAST, 13)
"""Sessions of the story, from its first as_of to its last evening."""
SYMBOLS = ("AAA", "BBB")
SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@contextmanager
def desk_over(template: Path) -> Iterator[Desk]:
    """A desk over a copy of the migrated file, for one example."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "example.db"
        shutil.copyfile(template, path)
        database = Database(f"sqlite:///{path}")
        try:
            yield open_desk(database, Path(folder))
        finally:
            database.close()


figures = st.floats(allow_nan=False, allow_infinity=False)


@SLOW
@given(rows=st.lists(st.tuples(*[figures] * 7), min_size=1, max_size=4), close=st.floats(1e-3, 1e9))
def test_any_figures_come_back_and_the_chain_holds(
    migrated_file: Path, rows: list[tuple[float, ...]], close: float
) -> None:
    with desk_over(migrated_file) as desk:
        desk.add(History("AAA", AS_OF, [1.0]))
        desk.add_walk(Strategy.ONE_STEP)
        for position, quantiles in enumerate(rows):
            said = Said("AAA", AS_OF - timedelta(position), (T,), 1, "one_step", 1, quantiles, close)
            with desk.database.transaction() as connection:
                assert publish(connection, draft_of(said), NOON, NOON) == position + 1
        assert [quantiles_of(row) for row in desk.rows(forecasts)] == rows
        assert {row.last_close for row in desk.rows(forecasts)} == {close}
        with desk.database.reading() as connection:
            assert verify(connection) == []


@dataclass(frozen=True)
class Story:
    """What happens to the bars of two symbols.

    Attributes:
        arrives: (symbol, session) -> sessions it comes late; None = it never comes.
        corrected: (symbol, session) -> (evening, factor): its close is corrected on a later evening.
        closed: A session that turned out closed, None without one.
    """

    arrives: dict[tuple[str, int], int | None]
    corrected: dict[tuple[str, int], tuple[int, float]]
    closed: int | None


KEYS = [(symbol, place) for symbol in SYMBOLS for place in range(len(DAYS))]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    late = st.sampled_from([0, 0, 0, 0, 0, 1, 3, 6, 8, None])
    arrives = {key: draw(late) for key in KEYS}
    corrections = st.dictionaries(
        st.sampled_from(KEYS), st.tuples(st.integers(0, len(DAYS) - 1), st.sampled_from([0.9, 1.02])), max_size=4
    )
    return Story(arrives, draw(corrections), draw(st.none() | st.integers(1, len(DAYS) - 2)))


def closes_of(symbol: str) -> list[float]:
    return random_closes(len(DAYS), SYMBOLS.index(symbol) + 1)


def live(desk: Desk, story: Story) -> dict[tuple[str, int], float]:
    """Live the story evening by evening; the closes that stand at its end."""
    approval: dict[tuple[str, int], float] = {}
    for now, day in enumerate(DAYS):
        for key in KEYS:
            late = story.arrives[key]
            if late is not None and key[1] + late == now and key[1] != story.closed:
                approval[key] = closes_of(key[0])[key[1]]
                desk.put(key[0], {DAYS[key[1]]: approval[key]})
        for key, (evening, factor) in story.corrected.items():
            if evening == now and key in approval:
                approval[key] *= factor
                desk.correct(key[0], DAYS[key[1]], approval[key])
        desk.move(utc(day.year, day.month, day.day, 21, 30))
        desk.score(day)
        targets = desk.context.calendars.targets("XNYS", day, 3)
        said = [Said(symbol, day, targets, 1) for symbol in SYMBOLS if (symbol, now) in approval]
        if said:
            with desk.database.transaction() as connection:
                publish(connection, draft_of(*said), NOON, NOON)
    return approval


def expected_outcome(story: Story, approval: dict[tuple[str, int], float], symbol: str, as_of: int, target: int) -> str:
    """scored, void or none, by the rules alone."""
    if target >= len(DAYS):
        return "none"
    if (symbol, as_of) in approval and (symbol, target) in approval:
        return "scored"
    later = [place for place in range(target + 1, len(DAYS)) if place != story.closed]
    return "void" if target == story.closed or len(later) >= 5 else "none"


@SLOW
@given(story=stories())
def test_every_forecast_has_exactly_one_newest_outcome(migrated_file: Path, story: Story) -> None:
    with desk_over(migrated_file) as desk:
        for symbol in SYMBOLS:
            desk.add(History(symbol, LAST, [None] * (len(DAYS) + 5)))
        desk.add_walk(Strategy.MULTI_STEP)
        if story.closed is not None:
            desk.close_session("XNYS", DAYS[story.closed])
        approval = live(desk, story)
        said, newest = desk.rows(forecasts), desk.newest_scores()
        revisions: dict[int, list[tuple[int, str]]] = {}
        for row in desk.rows(scores):
            revisions.setdefault(row.forecast_id, []).append((row.revision, row.state))
    for row in said:
        as_of = DAYS.index(row.as_of)
        target = DAYS.index(row.target_session) if row.target_session <= LAST else len(DAYS)
        state = newest[row.id].state if row.id in newest else "none"
        assert state == expected_outcome(story, approval, row.symbol, as_of, target)
        if state == "scored":
            actual = log(approval[(row.symbol, target)] / approval[(row.symbol, as_of)])
            assert newest[row.id].actual == pytest.approx(actual, abs=1e-12)
        told = sorted(revisions.get(row.id, []))
        assert [revision for revision, _ in told] == list(range(1, len(told) + 1))
        assert [state for _, state in told[1:] if state == "void"] == []  # void is said first or not at all


@SLOW
@given(hours=st.tuples(*[st.sampled_from([0, 1, 3, 14, 15, 16, None])] * 3), corrected=st.booleans())
def test_every_symbol_is_forecast_or_missed_and_never_both(
    migrated_file: Path, hours: tuple[int | None, ...], corrected: bool
) -> None:
    """Bars come some hours after 22:00; T opens at 13:30, so what comes after 15 hours is too late."""
    in_time = [due is not None and due <= 15 for due in hours]
    with desk_over(migrated_file) as desk:
        for position in range(3):
            desk.add(History(f"S{position}", AS_OF, [*random_closes(70, position), None]))
        for hour in range(17):
            for position, due in enumerate(hours):
                if due == hour:
                    desk.put(f"S{position}", {AS_OF: 50.0})
            desk.move(min(utc(2018, 5, 31, 22) + timedelta(hours=hour), utc(2018, 6, 1, 13, 30)))
            outcomes = desk.forecast(AS_OF)
            if all(one.state != "waiting" for one in outcomes.values()):
                break
        if corrected and all(in_time):
            desk.correct("S0", AS_OF, 51.0)
            desk.move(utc(2018, 6, 1, 13, 29))
            desk.forecast(AS_OF, sequence=1)
        said, numbers = desk.rows(forecasts), [row.number for row in desk.rows(editions)]
        with desk.database.reading() as connection:
            assert verify(connection) == []
    assert numbers == list(range(1, len(numbers) + 1))
    for position, forecast in enumerate(in_time):
        symbol = f"S{position}"
        assert outcomes[symbol].state == ("forecast" if forecast else "missed")
        again = position == 0 and corrected and all(in_time)
        revisions = sorted(row.revision for row in said if row.symbol == symbol)
        assert revisions == [1] * 4 * forecast + [2] * 4 * again
