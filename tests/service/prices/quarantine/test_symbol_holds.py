"""Holds of a symbol: raised per session, settled, cleared by a person, and reported."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from service.db.session import Database
from service.errors import NotFound
from service.prices.quarantine.symbol_holds import (
    SESSIONS_SEEN,
    SymbolHold,
    allowed_symbols,
    clear_holds,
    lasting,
    list_holds,
    raise_hold,
    settle_holds,
    use_allowance,
)
from service.vocabulary import QuarantineState
from tests.support.fakes import JANUARY, World, bars_frame, evening
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service

AT = evening(JANUARY[0])


def raised(world: World, *sessions: date, kind: SymbolHold = SymbolHold.BASIS) -> list[int]:
    world.instruments("AAA")
    with world.database.transaction() as connection:
        return [raise_hold(connection, "AAA", kind, f"on {day}", day, evening(day)) for day in sessions]


def test_a_hold_counts_separate_sessions(world: World) -> None:
    assert raised(world, JANUARY[0], JANUARY[0], JANUARY[1], JANUARY[2]) == [1, 1, 2, 3]
    assert raised(world, JANUARY[2], kind=SymbolHold.GONE) == [1]
    with world.database.reading() as connection:
        first, second = list_holds(connection, ["AAA"])
    assert (first.reason, first.first_seen_at, first.last_seen_at) == ("on 2024-01-04", AT, evening(JANUARY[2]))
    assert (second.kind, second.sessions_seen) == ("gone", ["2024-01-04"])


def test_a_settled_hold_starts_again(world: World) -> None:
    raised(world, *JANUARY[:2])
    with world.database.transaction() as connection:
        assert settle_holds(connection, "AAA", SymbolHold.GONE, QuarantineState.CLEARED, AT) == 0
        assert settle_holds(connection, "AAA", SymbolHold.BASIS, QuarantineState.CLEARED, AT) == 1
        assert settle_holds(connection, "AAA", SymbolHold.BASIS, QuarantineState.CLEARED, AT) == 0
        assert allowed_symbols(connection, ["AAA"]) == frozenset(), (
            "the source took it back; no person allowed anything"
        )
    assert raised(world, JANUARY[2]) == [1]


def test_only_a_held_basis_is_allowed_and_only_once(world: World) -> None:
    raised(world, JANUARY[0])
    raised(world, JANUARY[0], kind=SymbolHold.GONE)
    with world.database.transaction() as connection:
        assert [hold.kind for hold in clear_holds(connection, "AAA", AT)] == ["basis", "gone"]
        assert allowed_symbols(connection, ["AAA", "BBB"]) == {"AAA"}
        use_allowance(connection, "AAA", AT)
        assert allowed_symbols(connection, ["AAA"]) == frozenset()
        with pytest.raises(NotFound, match="AAA has no open hold"):
            clear_holds(connection, "AAA", AT)
        assert allowed_symbols(connection, ["AAA"]) == frozenset(), "a settled hold allows nothing more"


def test_a_hold_of_a_missing_symbol_allows_nothing(world: World) -> None:
    raised(world, JANUARY[0], kind=SymbolHold.GONE)
    with world.database.transaction() as connection:
        clear_holds(connection, "AAA", AT)
        assert allowed_symbols(connection, ["AAA"]) == frozenset()


def test_lasting_holds_are_of_three_sessions_or_old(world: World) -> None:
    raised(world, *JANUARY[:2])
    with world.database.reading() as connection:
        assert lasting(connection, ["AAA"], AT - timedelta(seconds=1)) == ()
        assert lasting(connection, ["AAA"], AT) == ("AAA",), "few sessions, but long ago"
    raised(world, JANUARY[2])
    world.source.bars["BBB"] = bars_frame(JANUARY[:4], [100.0, 100.0, 100.0, 50.0])
    world.pull(JANUARY[3], "BBB")
    with world.database.reading() as connection:
        assert lasting(connection, ["AAA", "BBB"], AT - timedelta(seconds=1)) == ("AAA",)
        assert lasting(connection, ["AAA", "BBB"], evening(JANUARY[3])) == ("AAA", "BBB")
        assert lasting(connection, ["BBB"], evening(JANUARY[3])) == ("BBB",)


def test_a_hold_is_reported_on_the_third_session(database: Database, tmp_path: Path) -> None:
    service = held_for_three_sessions(database, tmp_path, Walk("AAA", date(2023, 9, 1), date(2024, 3, 6)))
    turn(service)
    assert service.reporter.notices == [NOTICE]


def test_a_hold_is_reported_once_a_session_and_not_every_hour(database: Database, tmp_path: Path) -> None:
    walk = Walk("AAA", date(2023, 9, 1), date(2024, 3, 6), holes=frozenset({date(2024, 3, 1)}))
    service = held_for_three_sessions(database, tmp_path, walk)
    for hours in range(3):  # the bar is not there yet: retried each hour
        service.move_market(datetime(2024, 3, 1, 22, 30, tzinfo=UTC) + timedelta(hours=hours))
        turn(service)
        assert service.reporter.notices == []
    service.move_market(datetime(2024, 3, 4, 14, 30, tzinfo=UTC))  # T opens
    turn(service)
    assert service.reporter.notices == [NOTICE]


NOTICE = "suspect for 3 sessions or more; see `tplus quarantine list`, then clear or reject them"


def held_for_three_sessions(database: Database, folder: Path, walk: Walk) -> Service:
    """A service on the evening of Friday 1 March 2024 that holds the basis of one symbol."""
    service = make_service(database, folder, RecordedWalks([walk]), ServiceOptions("2024-03-01T22:30:00Z", ("AAA",)))
    with database.transaction() as connection:
        for day in (date(2024, 2, 27), date(2024, 2, 28), date(2024, 2, 29))[:SESSIONS_SEEN]:
            raise_hold(connection, "AAA", SymbolHold.BASIS, "twice", day, datetime(2024, 2, 29, 23, tzinfo=UTC))
    return service


def turn(service: Service) -> None:
    scheduler = service.scheduler()
    scheduler.step()
    scheduler.close()
