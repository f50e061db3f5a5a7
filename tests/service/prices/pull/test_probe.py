"""The probe: answers that show that the vendor is reachable, and the number of requests."""

from datetime import UTC, date, datetime

from service.market.instruments import set_state
from service.prices.pull.probe import Probe, pick_probes
from service.prices.sources.base import Transient
from service.vocabulary import SymbolState
from tests.support.fakes import JANUARY, FakeSource, World, bars_frame

AT = datetime(2024, 1, 31, 23, tzinfo=UTC)


def source(*symbols: str) -> FakeSource:
    return FakeSource(bars={symbol: bars_frame(JANUARY, [100.0] * len(JANUARY)) for symbol in symbols})


def test_a_later_answer_shows_that_the_vendor_is_reachable() -> None:
    vendor = source()
    probe = Probe(vendor, ("SPY",), AT)
    first, second = probe.begin(), probe.begin()
    probe.answered(second)
    assert probe.reachable_since(first)
    assert vendor.asked == []


def test_an_earlier_answer_is_not_enough() -> None:
    vendor = source("SPY")
    probe = Probe(vendor, ("SPY",), AT)
    first, second = probe.begin(), probe.begin()
    probe.answered(first)
    assert probe.reachable_since(second)
    assert vendor.asked == [("SPY", date(2024, 1, 17))]


def test_an_unreachable_vendor_is_probed_once_for_all_earlier_requests() -> None:
    vendor = source()
    vendor.errors["AAA"] = Transient("502")
    probe = Probe(vendor, ("AAA", "SPY"), AT)
    early, late = probe.begin(), probe.begin()
    assert not probe.reachable_since(late)
    assert not probe.reachable_since(early)
    assert [symbol for symbol, _ in vendor.asked] == ["AAA", "SPY"]
    later = probe.begin()
    vendor.bars["SPY"] = bars_frame(JANUARY, [100.0] * len(JANUARY))
    assert probe.reachable_since(later)


def test_healthy_symbols_are_probed_first_and_spy_last(world: World) -> None:
    with world.database.reading() as connection:
        assert pick_probes(connection) == ("SPY",)
    for symbol in ("AAA", "BBB", "CCC", "DDD", "EEE"):
        world.source.bars[symbol] = bars_frame(JANUARY[:3], [1.0, 1.0, 1.0])
    world.pull(JANUARY[2])
    with world.database.transaction() as connection:
        set_state(connection, "AAA", SymbolState.FAILING, "cut", AT)
        assert pick_probes(connection) == ("BBB", "CCC", "DDD", "SPY")
