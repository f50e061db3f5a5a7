"""Malformed price payloads through the real yfinance into pulls: no bad row is published, the others are served.

The stand-in answers the requests of the real yfinance with generated malformed payloads for most symbols of a
watchlist, new ones and ones with stored bars, and with correct ones for a few. Each pull must store nothing but true
figures of true sessions, give a reason for each malformed answer, and the correct symbols must get their bars and a
forecast. Run from the repository's root:

    python -m benchmarks.reliability.malformed_prices [--quick] [--payloads 2000]

It prints one JSON document, and exits with 1 if a bar is missed.
"""

import argparse
import json
import logging
import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from benchmarks.reliability.malformed.payloads import NAMED, Payload, payload
from service.db.session import Database
from service.db.tables import bars, corporate_actions, forecasts, quarantine, symbol_holds
from service.market.exchange_calendar import get_calendar
from service.market.instruments import add_symbols, list_instruments
from service.prices.pull.fetcher import PullContext, PullOutcome, pull_symbols
from service.prices.sources.yahoo import YahooSource
from service.settings import Settings
from tests.support.forecast_factory import Desk, open_desk
from tests.support.sqlite_template import make_template
from tests.support.standin import Standin, StandinSymbol, reset_yfinance

FIRST, BEFORE, SESSION = date(2018, 6, 1), date(2018, 11, 14), date(2018, 11, 15)
GOOD = ("GOODA", "GOODB", "GOODC")
BATCH = 40
FULL = 2000
_SAME = 1e-6


@dataclass
class Tally:
    """What the pulls did with the payloads."""

    payloads: int = 0
    rows: int = 0
    states: Counter[str] = field(default_factory=Counter)
    bad_rows: list[str] = field(default_factory=list)
    without_reason: list[str] = field(default_factory=list)
    not_served: list[str] = field(default_factory=list)


def try_payloads(payloads: Sequence[Payload], folder: Path, template: Path) -> Tally:
    """Pull a watchlist in which each payload is the answer for one symbol, in batches, and check what is stored.

    Args:
        payloads: The malformed payloads; every second symbol has stored bars from a correct pull before.
        folder: Folder for the databases.
        template: SQLite file at the newest migration.
    """
    tally = Tally()
    for start in range(0, len(payloads), BATCH):
        batch = payloads[start : start + BATCH]
        path = folder / f"batch-{start}.db"
        path.write_bytes(template.read_bytes())
        database = Database(f"sqlite:///{path}")
        try:
            _Batch(database, folder, batch).run(tally)
        finally:
            database.close()
            path.unlink()
    return tally


class _Batch:
    """One database, one stand-in, and the payloads of some symbols."""

    def __init__(self, database: Database, folder: Path, payloads: Sequence[Payload]) -> None:
        self._database, self._folder = database, folder
        self._payloads = {f"BAD{place}": each for place, each in enumerate(payloads)}
        self._known = {symbol for place, symbol in enumerate(self._payloads) if place % 2}
        names = (*GOOD, *self._payloads)
        self._symbols = {name: StandinSymbol(FIRST, seed=seed) for seed, name in enumerate(names)}

    def run(self, tally: Tally) -> None:
        """Pull the correct answers of the known symbols, then the malformed ones, and forecast."""
        reset_yfinance()
        try:
            with Standin(self._symbols, _evening(BEFORE)) as standin:
                source = YahooSource(self._folder / "cache", standin.url, timeout=5.0)
                desk = open_desk(self._database, self._folder, _evening(BEFORE), source)
                self._pull(desk, source, BEFORE, (*GOOD, *self._known))
                standin.until = _evening(SESSION)
                standin.rewritten = {symbol: each.make for symbol, each in self._payloads.items()}
                desk.move(_evening(SESSION))
                outcomes = self._pull(desk, source, SESSION, (*GOOD, *self._payloads))
                desk.forecast(SESSION)
        finally:
            reset_yfinance()
        with self._database.reading() as connection:
            self._check(connection, outcomes, tally)

    def _pull(self, desk: Desk, source: YahooSource, session: date, names: Sequence[str]) -> dict[str, PullOutcome]:
        at = _evening(session)
        with self._database.transaction() as connection:
            add_symbols(connection, names, at, {})
        settings = Settings(data_dir=self._folder, fetch_workers=3)
        context = PullContext(desk.database, source, settings, get_calendar, probes=GOOD[:1])
        with self._database.reading() as connection:
            instruments = list_instruments(connection, names)
        return {outcome.symbol: outcome for outcome in pull_symbols(context, instruments, session, at)}

    def _check(self, connection: Connection, outcomes: dict[str, PullOutcome], tally: Tally) -> None:
        noted = set(connection.execute(select(quarantine.c.symbol)).scalars())
        noted |= set(connection.execute(select(symbol_holds.c.symbol)).scalars())
        served = set(connection.execute(select(forecasts.c.symbol).where(forecasts.c.as_of == SESSION)).scalars())
        for symbol in GOOD:
            if outcomes[symbol].state != "ok" or symbol not in served:
                tally.not_served.append(f"{symbol}: {outcomes[symbol].state}, {outcomes[symbol].reason}")
        for symbol, each in self._payloads.items():
            tally.payloads += 1
            outcome = outcomes[symbol]
            tally.states[outcome.state] += 1
            name = f"{each.name} ({'known' if symbol in self._known else 'new'} symbol)"
            faults = list(self._bad_rows(connection, symbol))
            tally.rows += self._stored
            tally.bad_rows += [f"{name}: {fault}" for fault in faults]
            changed = self._lacks(connection, symbol)
            if changed and not (outcome.reason or symbol in noted or set(outcome.counts) - {"added", "actions"}):
                tally.without_reason.append(f"{name}: {outcome.state} {dict(outcome.counts)}, {changed}")

    def _bad_rows(self, connection: Connection, symbol: str) -> Iterator[str]:
        """Yield a sentence for each stored row that is not the truth."""
        truth = self._symbols[symbol].served(_evening(SESSION))
        self._stored = 0
        for row in connection.execute(select(bars).where(bars.c.symbol == symbol)):
            self._stored += 1
            if row.session not in truth:
                yield f"a bar of {row.session} is stored, which was no session or is not over"
                continue
            for name, value in truth[row.session].items():
                stored = getattr(row, name)
                if stored is None and name != "close":
                    continue
                if name == "volume" and stored == 0:
                    continue  # yfinance makes 0 of a volume that is null: no source after it can tell
                if stored is None or not math.isclose(stored, value, rel_tol=_SAME):
                    yield f"{name} of {row.session} is {stored}, the truth is {value}"
        for action in connection.execute(select(corporate_actions).where(corporate_actions.c.symbol == symbol)):
            yield f"a {action.kind} of {action.value} on {action.ex_date} is stored"

    def _lacks(self, connection: Connection, symbol: str) -> str:
        """Return what of the truth is not stored; empty if all of it is."""
        truth = self._symbols[symbol].served(_evening(SESSION))
        rows = {row.session: row for row in connection.execute(select(bars).where(bars.c.symbol == symbol))}
        missing = [day for day in truth if day not in rows]
        if missing:
            return f"{len(missing)} bars are missing"
        without = [name for row in rows.values() for name in ("open", "volume") if getattr(row, name) is None]
        return f"{len(without)} figures are missing" if without else ""


def _evening(session: date) -> datetime:
    return datetime(session.year, session.month, session.day, 23, tzinfo=UTC)


def document(tally: Tally) -> dict[str, Any]:
    """Return the figures."""
    return {
        "payloads": tally.payloads, "named_damages": len(NAMED), "rows_stored_of_those_symbols": tally.rows,
        "outcomes": dict(tally.states), "bad_rows_published": len(tally.bad_rows),
        "without_a_reason": len(tally.without_reason), "good_symbols_not_served": len(tally.not_served),
        "examples": [*tally.bad_rows[:15], *tally.without_reason[:15], *tally.not_served[:5]],
    }  # fmt: skip


def misses(tally: Tally) -> list[str]:
    """Return a sentence for each bar that is missed."""
    found = {
        "bad rows are published": tally.bad_rows, "malformed answers have no reason": tally.without_reason,
        "good symbols are not served": tally.not_served,
    }  # fmt: skip
    return [f"{len(faults)} {sentence}" for sentence, faults in found.items() if faults]


def main() -> int:
    """Print the figures; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the named damages alone")
    parser.add_argument("--payloads", type=int, default=FULL)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of expected faults
    count = len(NAMED) if arguments.quick else arguments.payloads
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        template = make_template(Path(name))
        payloads = [payload(seed) for seed in range(arguments.first, arguments.first + count)]
        tally = try_payloads(payloads, Path(name), template)
    figures = document(tally) | {"seconds": round(time.monotonic() - began), "missed": misses(tally)}
    print(json.dumps(figures, indent=1))
    return 1 if figures["missed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
