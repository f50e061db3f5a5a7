"""The vendor at its worst: whole pulls through the real yfinance from the stand-in, night after night."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import bar_revisions
from service.market.exchange_calendar import get_calendar
from service.prices.pull.fetcher import PullContext, PullOutcome, pull_symbols
from service.prices.quarantine.symbol_holds import Hold, clear_holds, list_holds
from service.prices.sources.yahoo import YahooSource
from service.settings import Settings
from service.vocabulary import QuarantineState
from tests.support.fakes import FakeSource, World
from tests.support.standin import Fault, Standin, StandinSymbol, reset_yfinance
from tests.support.stored_bars import read_bars

FIRST = date(2018, 10, 1)
SESSIONS_SEEN = [date(2018, 11, day) for day in (12, 13, 14, 15, 16, 19, 20, 21)]
MADE = StandinSymbol(FIRST, seed=1)
OTHER = StandinSymbol(FIRST, seed=2)


class Vendor:
    """The stand-in, a database, and the pull between them."""

    def __init__(self, database: Database, standin: Standin, folder: Path) -> None:
        self.standin = standin
        self.source = YahooSource(folder / "cache", standin.url, timeout=2.0)
        self.world = World(database, FakeSource(), Settings(data_dir=folder, fetch_workers=1))

    def night(self, session: date, *symbols: str) -> dict[str, PullOutcome]:
        """Pull at 23:00 UTC of a session."""
        at = datetime(session.year, session.month, session.day, 23, tzinfo=UTC)
        self.standin.until = at
        context = PullContext(
            self.world.database, self.source, self.world.settings, get_calendar, probes=("OTHER",)  # type: ignore[arg-type]
        )  # fmt: skip
        wanted = self.world.instruments(*(symbols or ("MADE",)))
        return {outcome.symbol: outcome for outcome in pull_symbols(context, wanted, session, at)}

    def change(self, **values: object) -> None:
        """Let MADE be another from now on."""
        self.standin.symbols["MADE"] = replace(self.standin.symbols["MADE"], **values)  # type: ignore[arg-type]

    def closes(self) -> list[float]:
        """Stored closes of MADE."""
        with self.world.database.reading() as connection:
            return read_bars(connection, "MADE").close.tolist()

    def holds(self, state: QuarantineState | None = None) -> tuple[Hold, ...]:
        """Its holds."""
        with self.world.database.reading() as connection:
            return list_holds(connection, ["MADE"], state)

    @property
    def state(self) -> tuple[str, int]:
        """State and basis of MADE."""
        one = self.world.instruments("MADE")[0]
        return one.state, one.basis


@pytest.fixture
def vendor(database: Database, tmp_path: Path) -> Iterator[Vendor]:
    reset_yfinance()
    with Standin({"MADE": MADE, "OTHER": OTHER}, datetime(2018, 11, 12, 23, tzinfo=UTC)) as running:
        yield Vendor(database, running, tmp_path)
    reset_yfinance()


def traded(count: int) -> list[float]:
    return [bar["close"] for bar in MADE.traded(count)]


def test_a_row_of_today_before_the_close_is_not_kept(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    noon = datetime(2018, 11, 13, 17, tzinfo=UTC)
    vendor.standin.until = noon
    context = PullContext(vendor.world.database, vendor.source, vendor.world.settings, get_calendar)  # type: ignore[arg-type]
    (outcome,) = pull_symbols(context, vendor.world.instruments("MADE"), SESSIONS_SEEN[1], noon)
    assert (outcome.state, outcome.counts) == ("no_bar", {"partial": 1})
    assert vendor.closes() == traded(31)  # 1 October to 12 November 2018 are 31 sessions


def test_a_last_row_that_comes_twice_is_stored_once(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    vendor.standin.fail("MADE", Fault.DUPLICATE_LAST)
    assert vendor.night(SESSIONS_SEEN[1])["MADE"].state == "ok"
    assert vendor.closes() == [*traded(31), traded(32)[31] + 0.125]
    vendor.standin.heal()
    assert vendor.night(SESSIONS_SEEN[2])["MADE"].counts == {"revised": 1, "added": 1}
    assert vendor.closes() == traded(33)


def test_dates_off_by_one_move_no_bar(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    vendor.standin.fail("MADE", Fault.DAY_EARLY)
    assert vendor.night(SESSIONS_SEEN[3])["MADE"].state == "suspect"
    assert "one session off" in vendor.holds(QuarantineState.OPEN)[0].reason
    assert (vendor.closes(), vendor.state) == (traded(31), ("suspect", 1))
    vendor.standin.heal()
    assert vendor.night(SESSIONS_SEEN[4])["MADE"].state == "ok"
    assert (vendor.closes(), vendor.state) == (traded(35), ("ok", 1))


def test_a_session_that_is_null_for_days_heals_later(vendor: Vendor) -> None:
    vendor.change(nulls=frozenset({SESSIONS_SEEN[1]}))
    vendor.night(SESSIONS_SEEN[0])
    assert vendor.night(SESSIONS_SEEN[1])["MADE"].state == "no_bar"
    for night in SESSIONS_SEEN[2:6]:
        assert vendor.night(night)["MADE"].state == "ok"
    assert vendor.closes() == [*traded(31), *traded(36)[32:]]
    vendor.change(nulls=frozenset())
    assert vendor.night(SESSIONS_SEEN[6])["MADE"].counts == {"added": 2}
    assert vendor.closes() == traded(37)


def test_a_corrected_close_is_a_revision_that_keeps_the_old_one(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    vendor.change(scaled={date(2018, 11, 9): 1.25})
    assert vendor.night(SESSIONS_SEEN[1])["MADE"].counts == {"revised": 1, "added": 1}
    with vendor.world.database.reading() as connection:
        kept = connection.execute(select(bar_revisions.c.session, bar_revisions.c.close)).all()
    assert [tuple(row) for row in kept] == [(date(2018, 11, 9), traded(30)[29])]
    assert vendor.closes()[29] == traded(30)[29] * 1.25


def test_a_confirmed_split_takes_the_whole_history_on_a_new_basis(vendor: Vendor) -> None:
    vendor.change(splits={SESSIONS_SEEN[1]: 1.25})
    vendor.night(SESSIONS_SEEN[0])
    assert vendor.night(SESSIONS_SEEN[1])["MADE"].counts["rebased"] == 32
    assert vendor.closes() == pytest.approx([*(close / 1.25 for close in traded(31)), traded(32)[31]])
    assert vendor.state == ("ok", 2)


def test_a_split_whose_ratio_comes_late_is_confirmed_when_it_does(vendor: Vendor) -> None:
    vendor.change(splits={SESSIONS_SEEN[1]: 1.25}, unapplied=frozenset({SESSIONS_SEEN[1]}))
    vendor.night(SESSIONS_SEEN[0])
    for night in SESSIONS_SEEN[1:3]:
        outcome = vendor.night(night)["MADE"]
        assert outcome.state == "suspect"
        assert "1.25:1 of 2018-11-13" in str(outcome.reason)
    assert (vendor.closes(), vendor.state) == (traded(31), ("suspect", 1))
    (record,) = vendor.holds(QuarantineState.OPEN)
    assert (record.kind, record.sessions_seen) == ("basis", ["2018-11-13", "2018-11-14"])
    vendor.change(unapplied=frozenset())
    assert vendor.night(SESSIONS_SEEN[3])["MADE"].state == "ok"
    assert vendor.state == ("ok", 2)
    assert [one.state for one in vendor.holds()] == ["confirmed"]


def test_a_ratio_without_a_split_waits_for_a_person_or_for_the_split(vendor: Vendor) -> None:
    vendor.change(splits={SESSIONS_SEEN[1]: 1.25}, unannounced=frozenset({SESSIONS_SEEN[1]}))
    vendor.night(SESSIONS_SEEN[0])
    outcome = vendor.night(SESSIONS_SEEN[1])["MADE"]
    assert outcome.reason == "all closes are 0.8 times the stored ones and no split explains it"
    assert vendor.closes() == traded(31)
    vendor.change(unannounced=frozenset())
    assert vendor.night(SESSIONS_SEEN[2])["MADE"].state == "ok"
    assert (vendor.state, [one.state for one in vendor.holds()]) == (("ok", 2), ["confirmed"])


@pytest.mark.parametrize(("times", "words"), [(100.0, "currency unit"), (2.0, "no split explains it")])
def test_a_person_lets_another_scale_through(vendor: Vendor, times: float, words: str) -> None:
    vendor.night(SESSIONS_SEEN[0])
    days = get_calendar("XNYS", FIRST, SESSIONS_SEEN[-1]).sessions(FIRST, SESSIONS_SEEN[-1])
    vendor.change(scaled=dict.fromkeys(days, times))
    for night in SESSIONS_SEEN[1:4]:
        outcome = vendor.night(night)["MADE"]
        assert (outcome.state, words in str(outcome.reason)) == ("suspect", True)
    assert vendor.closes() == traded(31)
    with vendor.world.database.transaction() as connection:
        clear_holds(connection, "MADE", datetime(2018, 11, 16, tzinfo=UTC))
    assert vendor.closes() == traded(31), "nothing moves before the next pull"
    assert vendor.night(SESSIONS_SEEN[4])["MADE"].state == "ok"
    assert vendor.closes() == [close * times for close in traded(35)]
    assert vendor.state == ("ok", 2)
    with vendor.world.database.reading() as connection:
        assert connection.execute(select(bar_revisions.c.close)).scalars().all() == traded(31)
    # The allowance is used up: the way back is doubted again.
    vendor.change(scaled={})
    assert vendor.night(SESSIONS_SEEN[5])["MADE"].state == "suspect"


def test_a_scale_that_goes_back_by_itself_is_cleared(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    vendor.change(
        scaled=dict.fromkeys(get_calendar("XNYS", FIRST, SESSIONS_SEEN[1]).sessions(FIRST, SESSIONS_SEEN[1]), 0.01)
    )
    assert vendor.night(SESSIONS_SEEN[1])["MADE"].state == "suspect"
    vendor.change(scaled={})
    assert vendor.night(SESSIONS_SEEN[2])["MADE"].state == "ok"
    assert (vendor.closes(), [one.state for one in vendor.holds()]) == (traded(33), ["cleared"])


def test_a_symbol_with_bars_is_gone_on_the_third_day(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    gone = vendor.standin.symbols.pop("MADE")
    told = [vendor.night(night)["MADE"] for night in (SESSIONS_SEEN[1], SESSIONS_SEEN[1], SESSIONS_SEEN[2])]
    assert [one.state for one in told] == ["no_data"] * 3
    assert "reported on 2 of the 3 sessions" in str(told[2].reason)
    assert vendor.state == ("failing", 1)
    assert vendor.night(SESSIONS_SEEN[3])["MADE"].state == "unknown"
    assert vendor.state == ("unknown", 1)
    assert [one.state for one in vendor.holds()] == ["confirmed"]
    vendor.standin.symbols["MADE"] = gone
    assert vendor.night(SESSIONS_SEEN[4])["MADE"].state == "ok"


def test_a_symbol_that_comes_again_starts_the_count_anew(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    gone = vendor.standin.symbols.pop("MADE")
    for night in SESSIONS_SEEN[1:3]:
        vendor.night(night)
    vendor.standin.symbols["MADE"] = gone
    assert vendor.night(SESSIONS_SEEN[3])["MADE"].state == "ok"
    del vendor.standin.symbols["MADE"]
    assert vendor.night(SESSIONS_SEEN[4])["MADE"].state == "no_data"
    assert [one.state for one in vendor.holds()] == ["cleared", "open"]


def test_a_symbol_never_seen_is_unknown_at_once(vendor: Vendor) -> None:
    assert vendor.night(SESSIONS_SEEN[0], "NOSUCH")["NOSUCH"].state == "unknown"


@pytest.mark.parametrize("fault", [Fault.UNAUTHORISED, Fault.EMPTY_RESULT, Fault.EMPTY_JSON])
def test_nothing_is_gone_or_empty_while_the_canary_is_silent(vendor: Vendor, fault: Fault) -> None:
    vendor.night(SESSIONS_SEEN[0])
    del vendor.standin.symbols["MADE"]
    vendor.standin.fail("OTHER", fault)
    outcome = vendor.night(SESSIONS_SEEN[1])["MADE"]
    assert outcome.state == "transient"
    assert str(outcome.reason).startswith("not accepted while no other symbol answers: ")
    assert (vendor.state, vendor.holds()) == (("ok", 1), ())


def test_a_symbol_without_bars_beside_a_canary_that_sings_has_no_data(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0])
    vendor.standin.fail("MADE", Fault.EMPTY_RESULT)
    assert vendor.night(SESSIONS_SEEN[1])["MADE"].state == "no_data"


def test_a_pull_ends_at_its_limit_whatever_hangs(vendor: Vendor) -> None:
    vendor.night(SESSIONS_SEEN[0], "MADE", "OTHER")
    vendor.standin.fail("MADE", Fault.HANG)
    vendor.world.settings = vendor.world.settings.model_copy(update={"pull_limit_seconds": 0.6})
    outcomes = vendor.night(SESSIONS_SEEN[1], "MADE", "OTHER")
    assert [one.state for one in outcomes.values()] == ["transient", "transient"]
    assert "longer than 0.6 s" in str(outcomes["MADE"].reason)
    vendor.standin.heal()
    vendor.world.settings = vendor.world.settings.model_copy(update={"pull_limit_seconds": 600})
    assert {one.state for one in vendor.night(SESSIONS_SEEN[1], "MADE", "OTHER").values()} == {"ok"}


def test_a_rate_limit_stops_the_pull_and_the_rest_is_asked_later(vendor: Vendor) -> None:
    vendor.standin.fail("MADE", Fault.RATE_LIMIT)
    first = vendor.night(SESSIONS_SEEN[0], "MADE", "OTHER", "NOSUCH")
    assert [one.state for one in first.values()] == ["deferred"] * 3
    assert "HTTP 429" in str(first["MADE"].reason)
    assert not [path for path in vendor.standin.requests if path.endswith(("/OTHER", "/NOSUCH"))]
    vendor.standin.heal()
    second = vendor.night(SESSIONS_SEEN[0], "MADE", "OTHER", "NOSUCH")
    assert [one.state for one in second.values()] == ["ok", "ok", "unknown"]
