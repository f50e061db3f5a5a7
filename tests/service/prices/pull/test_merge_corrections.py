"""Splits, dividends, corrected bars and suspects, with a real database."""

from datetime import date, timedelta

import numpy as np
import pytest
from sqlalchemy import select

from service.db.tables import bar_revisions, quarantine
from service.prices.quarantine.row_quarantine import clear, list_quarantine
from service.prices.repository import has_bar, read_actions
from service.prices.sources.base import Action, ActionKind
from tests.support.fakes import JANUARY, World, bars_frame, evening
from tests.support.stored_bars import read_bars

CLOSES = [float(price) for price in range(100, 121)]


def closes(world: World, symbol: str = "AAA") -> list[float]:
    with world.database.reading() as connection:
        return read_bars(connection, symbol).close.tolist()


def revisions(world: World) -> list[tuple[date, float, int, int]]:
    with world.database.reading() as connection:
        query = select(*(bar_revisions.c[name] for name in ("session", "close", "revision", "basis")))
        return [tuple(row) for row in connection.execute(query.order_by(bar_revisions.c.id))]  # type: ignore[misc]


def split(day: date, value: float) -> Action:
    return Action(day, ActionKind.SPLIT, value)


def halved(upto: int, by: float = 2.0) -> list[float]:
    return [price / by if row < upto else price for row, price in enumerate(CLOSES)]


def doubled(upto: int) -> dict[tuple[int, str], float]:
    return {(row, "volume"): 2000.0 for row in range(upto)}


def start(world: World, count: int = 15) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY[:count], CLOSES[:count])
    assert world.pull(JANUARY[count - 1])["AAA"].state == "ok"


def test_a_split_with_its_ratio_replaces_the_history(world: World) -> None:
    world.source.actions["AAA"] = (Action(JANUARY[3], ActionKind.DIVIDEND, 1.0),)
    start(world)
    # 2:1 on the 24th: every older close is halved, and the new closes are on the new basis.
    new = [*(price / 2 for price in CLOSES[:15]), 57.5, 58.0]
    world.source.bars["AAA"] = bars_frame(JANUARY[:17], new, doubled(15))
    world.source.actions["AAA"] = (Action(JANUARY[3], ActionKind.DIVIDEND, 0.5), split(JANUARY[15], 2.0))
    outcome = world.pull(JANUARY[16])["AAA"]
    assert (outcome.state, outcome.counts["rebased"]) == ("ok", 17)
    assert world.source.asked[-1] == ("AAA", None)
    assert closes(world) == new
    assert world.instruments("AAA")[0].basis == 2
    assert revisions(world) == []
    with world.database.reading() as connection:
        actions = read_actions(connection, "AAA")
        bars = read_bars(connection, "AAA")
    assert actions == world.source.actions["AAA"]
    # The dividend of 0.5 on the halved 51 has the same factor as 1 on 102.
    assert bars.factors[:4].tolist() == pytest.approx([1 - 1 / 102] * 3 + [1.0])
    assert bars.revision.tolist() == [1] * 17


def test_a_split_of_weeks_ago_is_found_after_a_pause(world: World) -> None:
    start(world, 5)
    world.source.bars["AAA"] = bars_frame(JANUARY, halved(8, 4.0))
    world.source.actions["AAA"] = (split(JANUARY[8], 4.0),)
    # The pull starts before the newest stored bar, so the ratio is found.
    assert world.pull(JANUARY[20])["AAA"].state == "ok"
    assert world.instruments("AAA")[0].basis == 2
    assert closes(world)[:5] == [25.0, 25.25, 25.5, 25.75, 26.0]


def test_a_rebase_records_old_values_that_differ_beyond_the_ratio(world: World) -> None:
    start(world)
    new = [price / 2 for price in CLOSES[:15]]
    new[4] = 60.0  # was 104, would be 52
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*new, 57.0], doubled(15))
    world.source.actions["AAA"] = (split(JANUARY[15], 2.0),)
    world.pull(JANUARY[15])
    assert revisions(world) == [(JANUARY[4], 104.0, 1, 1)]
    with world.database.reading() as connection:
        assert read_bars(connection, "AAA").revision.tolist() == [1, 1, 1, 1, 2, *[1] * 11]


def test_a_split_without_the_ratio_is_suspect(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*CLOSES[:15], 57.0])
    world.source.actions["AAA"] = (split(JANUARY[15], 2.0),)
    outcome = world.pull(JANUARY[15])["AAA"]
    assert outcome.state == "suspect"
    assert "2:1 of 2024-01-24" in str(outcome.reason)
    assert closes(world) == CLOSES[:15]
    assert world.instruments("AAA")[0].state == "suspect"
    # At the next session the closes have changed by the ratio.
    world.source.bars["AAA"] = bars_frame(JANUARY[:17], [*(price / 2 for price in CLOSES[:15]), 57.0, 58.0])
    assert world.pull(JANUARY[16])["AAA"].state == "ok"
    instrument = world.instruments("AAA")[0]
    assert (instrument.state, instrument.state_reason, instrument.basis) == ("ok", None, 2)


@pytest.mark.parametrize("by", [2.0, 1.02, 100.0, 0.01])
def test_a_ratio_without_a_split_is_suspect(world: World, by: float) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*(price / by for price in CLOSES[:15]), 57.0])
    assert world.pull(JANUARY[15])["AAA"].state == "suspect"
    assert closes(world) == CLOSES[:15]
    assert world.instruments("AAA")[0].basis == 1


def test_a_shorter_history_does_not_replace_the_stored_one(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[5:16], [*(price / 2 for price in CLOSES[5:15]), 57.0])
    world.source.actions["AAA"] = (split(JANUARY[15], 2.0),)
    outcome = world.pull(JANUARY[15])["AAA"]
    assert (outcome.state, outcome.reason) == ("suspect", "the re-based history lacks 5 of the 15 stored bars")
    assert closes(world) == CLOSES[:15]


def test_a_small_split_is_recognised(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*(price / 1.011 for price in CLOSES[:15]), 113.0])
    world.source.actions["AAA"] = (split(JANUARY[15], 1.011),)
    assert world.pull(JANUARY[15])["AAA"].state == "ok"
    assert world.instruments("AAA")[0].basis == 2


def test_a_dividend_does_not_change_bars(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], CLOSES[:16])
    world.source.actions["AAA"] = (Action(JANUARY[15], ActionKind.DIVIDEND, 1.14),)
    assert world.pull(JANUARY[15])["AAA"].counts == {"added": 1, "actions": 1}
    with world.database.reading() as connection:
        bars = read_bars(connection, "AAA")
    # 1.14 on a close of 114 is one percent.
    assert bars.adjusted_close[[0, 14, 15]].tolist() == pytest.approx([99.0, 112.86, 115.0])
    # The source corrects it.
    world.source.actions["AAA"] = (Action(JANUARY[15], ActionKind.DIVIDEND, 2.28),)
    assert world.pull(JANUARY[15])["AAA"].counts == {"actions": 1}
    assert revisions(world) == []


def test_a_corrected_bar_is_a_revision(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*CLOSES[:12], 113.5, *CLOSES[13:16]])
    assert world.pull(JANUARY[15])["AAA"].counts == {"revised": 1, "added": 1}
    assert closes(world)[12] == 113.5
    assert revisions(world) == [(JANUARY[12], 112.0, 1, 1)]
    with world.database.reading() as connection:
        bars = read_bars(connection, "AAA")
    assert bars.revision.tolist() == [*[1] * 12, 2, *[1] * 3]
    assert bars.fetched_at[12] == np.datetime64("2024-01-24T23:00:00")


def test_noise_and_lost_figures_are_not_revisions(world: World) -> None:
    start(world)
    changes = {(12, "close"): 112.0 * (1 + 9e-5), (13, "volume"): np.nan, (14, "open"): np.nan}
    world.source.bars["AAA"] = bars_frame(JANUARY[:15], CLOSES[:15], changes)
    assert world.pull(JANUARY[14])["AAA"].counts == {"incomplete": 1}
    assert revisions(world) == []


def test_a_correction_that_is_too_large_is_suspect(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:15], [*CLOSES[:12], 60.0, *CLOSES[13:15]])
    outcome = world.pull(JANUARY[14])["AAA"]
    assert (outcome.state, closes(world)) == ("suspect", CLOSES[:15])


def test_a_crash_is_confirmed_at_the_next_session(world: World) -> None:
    start(world)
    crash = [*CLOSES[:15], 57.0, 58.0]
    opens = {(15, "open"): 57.5, (15, "high"): 70.0, (15, "low"): 50.0}
    world.source.bars["AAA"] = bars_frame(JANUARY[:17], crash, {**opens, (15, "open"): 65.0})
    outcome = world.pull(JANUARY[15])["AAA"]
    assert (outcome.state, outcome.counts) == ("suspect", {"suspect": 1})
    assert closes(world) == CLOSES[:15]
    # A retry of the same evening proves nothing; the next evening does.
    assert world.pull(JANUARY[15], at=evening(JANUARY[15]) + timedelta(minutes=50))["AAA"].state == "suspect"
    assert world.pull(JANUARY[16])["AAA"].counts == {"added": 2}
    assert closes(world) == crash
    with world.database.reading() as connection:
        assert [record.state for record in list_quarantine(connection)] == ["confirmed"]


def test_a_suspect_that_is_corrected_is_cleared(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*CLOSES[:15], 62.0])
    world.pull(JANUARY[15])
    world.source.bars["AAA"] = bars_frame(JANUARY[:17], CLOSES[:17])
    assert world.pull(JANUARY[16])["AAA"].counts == {"added": 2}
    with world.database.reading() as connection:
        assert [record.state for record in list_quarantine(connection)] == ["cleared"]


@pytest.mark.parametrize("close", [11_500.0, 1.15, 57.5])
def test_repetition_does_not_clear_mixed_units_and_missing_splits(world: World, close: float) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY, [*CLOSES[:15], *[close] * 6])
    for session in JANUARY[15:]:
        world.pull(session)
    stored = closes(world)
    with world.database.reading() as connection:
        assert not has_bar(connection, "AAA", JANUARY[15])
    with world.database.reading() as connection:
        found = [(record.session, record.state) for record in list_quarantine(connection)]
    assert found[0] == (JANUARY[15], "open")
    if close != 57.5:
        assert stored == CLOSES[:15]
        assert len(found) == 6


def test_a_jump_without_volume_is_not_confirmed_by_a_source_that_repeats_itself(world: World) -> None:
    """A file of a symbol that hardly trades: x77.65 for three sessions without volume, then x0.0012."""
    prices = [*CLOSES[:5], 0.03, 0.03, *[2.3295] * 3, *[0.0028] * 11]
    changes = {(row, "volume"): 0.0 for row in range(3, 21) if row != 12}
    world.source.bars["AAA"] = bars_frame(JANUARY, prices, changes)
    for session in JANUARY[11:]:
        world.pull(session)
    with world.database.reading() as connection:
        records = list_quarantine(connection)
        assert [(record.session, record.state) for record in records] == [
            (JANUARY[5], "open"), (JANUARY[7], "open"), (JANUARY[10], "open"),
        ]  # fmt: skip
        assert [has_bar(connection, "AAA", JANUARY[row]) for row in (5, 7, 10, 12)] == [False, False, False, True]
    assert all("repetition does not confirm it" in record.reason for record in records)


def test_a_jump_that_reverses_is_not_confirmed(world: World) -> None:
    start(world)
    spike = [*CLOSES[:15], 190.0, *CLOSES[16:]]
    world.source.bars["AAA"] = bars_frame(JANUARY, spike, {(15, "volume"): 9000.0})
    for session in JANUARY[15:]:
        world.pull(session)
    with world.database.reading() as connection:
        assert [(record.session, record.state) for record in list_quarantine(connection)] == [(JANUARY[15], "open")]
    assert closes(world) == [*CLOSES[:15], *CLOSES[16:]]


def test_an_action_that_explains_a_jump_settles_it(world: World) -> None:
    start(world)
    fallen = [*CLOSES[:15], 62.0, 63.0, 64.0]
    world.source.bars["AAA"] = bars_frame(JANUARY[:18], fallen, {(15, "volume"): 0.0})
    world.pull(JANUARY[15])
    world.pull(JANUARY[16])
    with world.database.reading() as connection:
        assert not has_bar(connection, "AAA", JANUARY[15])
    world.source.actions["AAA"] = (Action(JANUARY[15], ActionKind.DIVIDEND, 52.0),)
    world.pull(JANUARY[17])
    assert closes(world) == fallen
    with world.database.reading() as connection:
        assert [record.state for record in list_quarantine(connection)] == ["cleared"]


def test_an_old_suspect_is_fetched_again(world: World) -> None:
    world.source.bars["AAA"] = bars_frame(JANUARY, [*CLOSES[:2], *[42.0] * 19], {(2, "open"): 90.0, (2, "high"): 90.0})
    world.pull(JANUARY[19])
    world.pull(JANUARY[20])
    assert world.source.asked[1] == ("AAA", JANUARY[2])
    assert closes(world)[2] == 42.0


def test_a_person_clears_a_suspect(world: World) -> None:
    start(world)
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*CLOSES[:15], 57.5])
    world.pull(JANUARY[15])
    with world.database.transaction() as connection:
        number = connection.execute(select(quarantine.c.id)).scalar_one()
        clear(connection, number, evening(JANUARY[15]), "fake")
    assert closes(world) == [*CLOSES[:15], 57.5]
    assert world.instruments("AAA")[0].last_session == JANUARY[15]
    world.source.bars["AAA"] = bars_frame(JANUARY[:17], [*CLOSES[:15], 57.5, 58.0])
    assert world.pull(JANUARY[16])["AAA"].state == "ok"
    assert closes(world) == [*CLOSES[:15], 57.5, 58.0]


def test_a_rebase_keeps_confirmed_bars(world: World) -> None:
    crash = [*CLOSES[:2], 57.0, *[58.0] * 12]
    world.source.bars["AAA"] = bars_frame(JANUARY[:15], crash, {(2, "open"): 64.0, (2, "high"): 70.0})
    world.pull(JANUARY[13])
    world.pull(JANUARY[14])
    assert closes(world) == crash
    world.source.bars["AAA"] = bars_frame(JANUARY[:16], [*(price / 2 for price in crash), 29.0])
    world.source.actions["AAA"] = (split(JANUARY[15], 2.0),)
    assert world.pull(JANUARY[15])["AAA"].state == "ok"
    assert closes(world)[2] == 28.5
    with world.database.reading() as connection:
        assert [record.state for record in list_quarantine(connection)] == ["confirmed"]
