"""Actions that the vendor changes or takes back: pulls, forecasts and scores through the real yfinance.

The closes of the walk are 138.50 (13 November 2018), 137.75 and 137.25; expected figures are made from these on paper.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.baselines.random_walk import STANDARD_NORMAL, RandomWalk, random_walk_config
from models.config import Strategy
from service.db.session import Database
from service.db.tables import corporate_action_revisions, corporate_actions, quarantine, scores
from service.forecasts.ledger import publish
from service.market.instruments import add_symbols
from service.prices.panel import PanelQuery, load_panel
from service.prices.quarantine.row_quarantine import clear, list_quarantine, reject
from service.prices.sources.yahoo import YahooSource
from tests.support.forecast_factory import Desk, Said, draft_of, open_desk
from tests.support.standin import Standin, StandinSymbol, reset_yfinance
from tests.support.stored_bars import read_bars

FIRST = date(2018, 1, 2)
D12, D13, D14, D15, D16 = (date(2018, 11, day) for day in (12, 13, 14, 15, 16))
MADE = StandinSymbol(FIRST, seed=1)


def evening(day: date) -> datetime:
    """Return 23:00 UTC of a date."""
    return datetime(day.year, day.month, day.day, 23, tzinfo=UTC)


@dataclass
class Vendor:
    """The stand-in and the service's jobs."""

    desk: Desk
    standin: Standin

    def pull(self, day: date) -> None:
        """Pull MADE in the evening of a session."""
        self.standin.until = evening(day)
        self.desk.move(evening(day))
        assert self.desk.pull(day)["MADE"].state == "ok"

    def serve(self, **values: Any) -> None:
        """Change what the vendor serves from now on."""
        self.standin.symbols["MADE"] = replace(self.standin.symbols["MADE"], **values)

    def adjusted(self, day: date) -> float:
        """Return the adjusted close of a session, as stored now."""
        with self.desk.database.reading() as connection:
            bars = read_bars(connection, "MADE")
        closes = dict(zip(bars.sessions.tolist(), bars.adjusted_close.tolist(), strict=True))
        return float(closes[day])

    def actions(self) -> list[tuple[date, float, int]]:
        """Return the stored actions: ex-date, value, revision."""
        rows = self.desk.rows(corporate_actions)
        return sorted((row.ex_date, row.value, row.revision) for row in rows)

    def withdrawn(self) -> list[tuple[date, float, int]]:
        """Return the replaced and withdrawn actions: ex-date, value, revision."""
        return [(row.ex_date, row.value, row.revision) for row in self.desk.rows(corporate_action_revisions)]

    def held(self) -> list[tuple[date | None, object, str]]:
        """Return the actions in quarantine: ex-date, value, state."""
        with self.desk.database.reading() as connection:
            records = list_quarantine(connection, ["MADE"])
        return [(record.session, record.row["value"], record.state) for record in records]

    def walk(self) -> tuple[float, ...]:
        """Return the random walk's quantiles for the next session, from what is stored now."""
        context = self.desk.context
        with self.desk.database.reading() as connection:
            now = context.market.now(connection)
            panel = load_panel(connection, PanelQuery(("MADE",), (), now, context.settings.settle))
        walk = RandomWalk(random_walk_config(Strategy.ONE_STEP), (STANDARD_NORMAL,), (0,), None)
        return tuple(walk.forecast(panel).quantiles[0, 0].tolist())

    def issue(self, as_of: date, target: date) -> None:
        """Publish the random walk's forecast of one session."""
        version = self.desk.add_walk(Strategy.ONE_STEP)
        said = Said("MADE", as_of, (target,), version, "one_step", quantiles=self.walk(), last_close=138.5)
        with self.desk.database.transaction() as connection:
            publish(connection, draft_of(said), evening(as_of), evening(as_of))

    def outcomes(self) -> list[tuple[int, float, bool, bool, int]]:
        """Return the scores: revision, actual, whether inside 80 and 95 %, revision of the actions."""
        names = ("revision", "actual", "inside_80", "inside_95", "actions_revision")
        with self.desk.database.reading() as connection:
            query = select(*(scores.c[name] for name in names)).order_by(scores.c.revision)
            return [(row[0], round(row[1], 6), *row[2:]) for row in connection.execute(query)]


@pytest.fixture
def vendor(database: Database, tmp_path: Path) -> Iterator[Vendor]:
    reset_yfinance()
    with Standin({"MADE": MADE}, evening(D12)) as running:
        desk = open_desk(database, tmp_path, evening(D12), YahooSource(tmp_path / "cache", running.url, timeout=5.0))
        with database.transaction() as connection:
            add_symbols(connection, ["MADE"], evening(D12), {})
        yield Vendor(desk, running)
    reset_yfinance()


def pull_until_13(vendor: Vendor) -> None:
    """Pull the first two sessions and forecast the 14th."""
    vendor.pull(D12)
    vendor.pull(D13)
    vendor.issue(D13, D14)


def test_a_dividend_that_is_gone_is_withdrawn_and_its_score_revised(vendor: Vendor) -> None:
    pull_until_13(vendor)
    vendor.serve(dividends={D14: 2.0})
    vendor.pull(D14)
    vendor.desk.score(D14)
    assert vendor.adjusted(D13) == pytest.approx(136.5)
    vendor.serve(dividends={})
    vendor.pull(D15)
    vendor.desk.score(D15)
    assert vendor.adjusted(D13) == 138.5
    assert (vendor.actions(), vendor.withdrawn()) == ([], [(D14, 2.0, 1)])
    assert vendor.outcomes() == [(1, 0.009116, False, False, 1), (2, -0.005430, True, True, 0)]


def test_a_dividend_that_comes_back_goes_on_counting(vendor: Vendor) -> None:
    vendor.pull(D12)
    for day, cash in ((D14, {D13: 2.0}), (D15, {}), (D16, {D13: 2.0})):
        vendor.serve(dividends=cash)
        vendor.pull(day)
    assert (vendor.actions(), vendor.withdrawn()) == ([(D13, 2.0, 2)], [(D13, 2.0, 1)])


def test_a_changed_ex_date_is_a_move(vendor: Vendor) -> None:
    pull_until_13(vendor)
    vendor.serve(dividends={D14: 2.0})
    vendor.pull(D14)
    vendor.serve(dividends={D15: 2.0})
    vendor.pull(D15)
    assert vendor.adjusted(D13) == pytest.approx(136.4891, abs=5e-5)
    assert (vendor.actions(), vendor.withdrawn()) == ([(D15, 2.0, 1)], [(D14, 2.0, 1)])


def test_a_dividend_in_the_wrong_unit_is_held_until_it_is_corrected(vendor: Vendor) -> None:
    pull_until_13(vendor)
    vendor.serve(dividends={D14: 32.0})
    vendor.pull(D14)
    vendor.desk.score(D14)
    assert (vendor.adjusted(D13), vendor.actions()) == (138.5, [])
    assert vendor.held() == [(D14, 32.0, "open")]
    (record,) = vendor.desk.rows(quarantine)
    assert record.reason == (
        "suspect: the dividend of 32 with ex-date 2018-11-14 is 23.1% of the close, which went from 138.5 to 137.75"
    )
    vendor.serve(dividends={D14: 0.32})
    vendor.pull(D15)
    vendor.desk.score(D15)
    assert vendor.adjusted(D13) == pytest.approx(138.18)
    assert vendor.held() == [(D14, 32.0, "cleared")]
    assert vendor.outcomes() == [(1, -0.005430, True, True, 0), (2, -0.003117, True, True, 1)]


def test_a_wrong_dividend_leaves_the_stored_one_and_repetition_does_not_confirm_it(vendor: Vendor) -> None:
    vendor.serve(dividends={D13: 0.32})
    vendor.pull(D13)
    vendor.serve(dividends={D13: 32.0})
    for day in (D14, D15, D16):
        vendor.pull(day)
    assert (vendor.actions(), vendor.withdrawn()) == ([(D13, 0.32, 1)], [])
    assert vendor.held() == [(D13, 32.0, "open")]
    vendor.serve(dividends={})
    vendor.pull(date(2018, 11, 19))
    assert (vendor.actions(), vendor.held()) == ([], [(D13, 32.0, "cleared")])


def test_a_dividend_that_a_person_accepts_is_applied_for_good(vendor: Vendor) -> None:
    vendor.serve(dividends={D13: 32.0})
    vendor.pull(D13)
    (record,) = vendor.desk.rows(quarantine)
    with vendor.desk.database.transaction() as connection:
        clear(connection, record.id, evening(D13), "yahoo")
    before = vendor.adjusted(D12)
    vendor.pull(D14)
    assert vendor.adjusted(D12) == before
    assert (vendor.actions(), vendor.held()) == ([(D13, 32.0, 1)], [(D13, 32.0, "cleared")])
    vendor.serve(dividends={D13: 64.0})
    vendor.pull(D15)
    assert vendor.held()[1:] == [(D13, 64.0, "open")], "only what was accepted is accepted"


def test_a_dividend_that_a_person_rejects_stays_out_until_it_is_another(vendor: Vendor) -> None:
    vendor.serve(dividends={D13: 32.0})
    vendor.pull(D13)
    (record,) = vendor.desk.rows(quarantine)
    with vendor.desk.database.transaction() as connection:
        reject(connection, record.id, evening(D13))
    vendor.pull(D14)
    assert (vendor.actions(), vendor.held()) == ([], [(D13, 32.0, "rejected")])
    vendor.serve(dividends={D13: 64.0})
    vendor.pull(D15)
    assert vendor.held() == [(D13, 64.0, "open")]


FUND = {"meta": {"instrumentType": "MUTUALFUND"}, "paid": {D14: 12.0}}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "cash",
    [
        {"gains": {D14: 12.0}},
        {"gains": {D14: 12.0}, "dividends": {D14: 12.0}},
        {"gains": {D14: 8.0}, "dividends": {D14: 12.0}},
    ],
)
def test_capital_gains_are_distributions_that_count_once(vendor: Vendor, cash: dict[str, Any]) -> None:
    vendor.serve(**FUND)
    pull_until_13(vendor)
    vendor.serve(**cash)
    vendor.pull(D14)
    vendor.desk.score(D14)
    assert vendor.actions() == [(D14, 12.0, 1)]
    assert (vendor.adjusted(D13), vendor.adjusted(D14)) == (126.5, 125.75)
    assert [row[1] for row in vendor.outcomes()] == [-0.005946]
    quantiles = vendor.walk()
    # It was 0.0118 the day before; with the fall of 12 as a return it would be 0.0617.
    assert quantiles[5] - quantiles[1] == pytest.approx(0.0120, abs=5e-5)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_answer_says_nothing_about_dates_outside_it(vendor: Vendor) -> None:
    vendor.serve(dividends={date(2018, 10, 10): 0.5})
    vendor.pull(D12)
    vendor.serve(dividends={})
    vendor.pull(D13)
    assert vendor.actions() == [(date(2018, 10, 10), 0.5, 1)]
