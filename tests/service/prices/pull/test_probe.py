"""The canary by hand: which answers prove that the vendor is well, and how often it is asked."""

from datetime import UTC, date, datetime

from service.market.instruments import set_state
from service.prices.pull.probe import Probe, pick_probes
from service.prices.sources.base import Transient
from tests.support.fakes import JANUARY, FakeSource, World, bars_frame

AT = datetime(2024, 1, 31, 23, tzinfo=UTC)


def source(*symbols: str) -> FakeSource:
    return FakeSource(bars={symbol: bars_frame(JANUARY, [100.0] * len(JANUARY)) for symbol in symbols})


def test_an_answer_that_came_after_is_proof_enough() -> None:
    made = source()
    probe = Probe(made, ("SPY",), AT)
    first, second = probe.begin(), probe.begin()
    probe.answered(second)
    assert probe.reachable_since(first)
    assert made.asked == []


def test_an_answer_that_came_before_proves_nothing() -> None:
    made = source("SPY")
    probe = Probe(made, ("SPY",), AT)
    first, second = probe.begin(), probe.begin()
    probe.answered(first)
    assert probe.reachable_since(second)
    assert made.asked == [("SPY", date(2024, 1, 17))]


def test_a_silent_one_is_asked_once_for_all_that_came_before() -> None:
    made = source()
    made.errors["AAA"] = Transient("502")
    probe = Probe(made, ("AAA", "SPY"), AT)
    early, late = probe.begin(), probe.begin()
    assert not probe.reachable_since(late)
    assert not probe.reachable_since(early)
    assert [symbol for symbol, _ in made.asked] == ["AAA", "SPY"]
    later = probe.begin()
    made.bars["SPY"] = bars_frame(JANUARY, [100.0] * len(JANUARY))
    assert probe.reachable_since(later)


def test_symbols_that_are_well_are_asked_first_and_spy_last(world: World) -> None:
    with world.database.reading() as connection:
        assert pick_probes(connection) == ("SPY",)
    for symbol in ("AAA", "BBB", "CCC", "DDD", "EEE"):
        world.source.bars[symbol] = bars_frame(JANUARY[:3], [1.0, 1.0, 1.0])
    world.pull(JANUARY[2])
    with world.database.transaction() as connection:
        set_state(connection, "AAA", "failing", "cut", AT)
        assert pick_probes(connection) == ("BBB", "CCC", "DDD", "SPY")
