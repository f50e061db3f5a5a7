"""Tables of a million rows: the API's memory stays flat, and a client that leaves frees what it used.

One symbol has a million bars and as many past forecasts in SQLite, on consecutive days of two thousand years. Memory is
the largest resident memory of the API while the rows are read, less that after a table of a hundredth of them. Then
many clients ask for whole tables and leave after the first bytes. Run from the repository's root:

    python -m benchmarks.reliability.streamed_tables [--quick]

It prints one JSON document, and exits with 1 if a bar is missed. It takes ten minutes.
"""

import argparse
import http.client
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

import pyarrow as pa
from sqlalchemy import insert, select

from benchmarks.reliability.api_process import Api, running_api
from benchmarks.speed.api_ledger import Size, fill_database
from service.db.session import Database
from service.db.tables import bars, forecasts

MOST_GROWTH_MEGABYTES = 40.0
MOST_SECONDS_AFTER_LEAVING = 5.0
_FIRST = date(1000, 1, 1)
_PIECE = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is read.

    Attributes:
        rows: Rows of each table.
        leaving: Clients that leave.
        routes: The tables.
    """

    rows: int = 1_000_000
    leaving: int = 40
    routes: tuple[str, ...] = ("/v1/prices/S000", "/v1/forecasts/S000/history")


QUICK = Plan(rows=150_000, leaving=20, routes=("/v1/prices/S000",))


def fill(path: Path, plan: Plan) -> None:
    """Create the database."""
    database = Database(f"sqlite:///{path}")
    fill_database(database, Size(symbols=1, editions=2, bars=120, with_bars=1))
    with database.transaction() as connection:
        bar = dict(connection.execute(select(bars).limit(1)).mappings().one())
        forecast = dict(
            connection.execute(select(forecasts).where(forecasts.c.model_version_id == 1)).mappings().first() or {}
        )
        days = (_FIRST + timedelta(days=n) for n in range(plan.rows))
        while part := list(islice(days, _PIECE)):
            connection.execute(insert(bars), [{**bar, "session": day, "close": 10.0 + day.day} for day in part])
            if len(plan.routes) > 1:
                rows = [{**forecast, "id": 1000 + day.toordinal(), "as_of": day, "target_session": day} for day in part]
                connection.execute(insert(forecasts), rows)
    database.close()


def run(folder: Path, plan: Plan) -> dict[str, Any]:
    """Run the trial; returns its figures."""
    path = folder / "rows.db"
    fill(path, plan)
    figures: dict[str, Any] = {"rows": plan.rows}
    with running_api(path, {"TPLUS_LOG_LEVEL": "error"}) as api:
        for route in plan.routes:
            for form in ("csv", "arrow"):
                read_table(api, route, form, plan.rows // 100)  # loads what a table needs
                with peak_memory(api) as peak:
                    before, begin = api.megabytes(), monotonic()
                    rows = read_table(api, route, form, plan.rows)
                figures[f"{route} {form}"] = {
                    "rows": rows,
                    "seconds": round(monotonic() - begin, 1),
                    "growth_megabytes": round(peak[0] - before, 1),
                }
        for _ in range(plan.leaving):
            leave_early(api, plan.routes[0])
        begin = monotonic()
        read_table(api, plan.routes[0], "arrow", 1000)
        figures["seconds_after_leaving"] = round(monotonic() - begin, 2)
    return figures


def read_table(api: Api, route: str, form: str, limit: int) -> int:
    """Read a table as it arrives; returns its rows."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=600)
    forecaster = "&forecaster=all" if route.endswith("history") else ""
    connection.request("GET", f"{route}?format={form}&limit={limit}{forecaster}")
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{route} was answered with {answer.status}: {answer.read()[:200]!r}")
    if form == "arrow":
        count = sum(int(batch.num_rows) for batch in pa.ipc.open_stream(answer))
    else:
        count = -1 + sum(piece.count(b"\n") for piece in iter(lambda: answer.read(65_536), b""))
    connection.close()
    return count


def leave_early(api: Api, route: str) -> None:
    """Ask for a whole table, and close the connection after the first bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
    connection.request("GET", f"{route}?format=arrow&limit=1000000")
    connection.getresponse().read(10_000)
    connection.close()


@contextmanager
def peak_memory(api: Api) -> Iterator[list[float]]:
    """Yield a list whose only item becomes the largest memory of the API during the block, in MB."""
    peak, ended = [api.megabytes()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], api.megabytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def misses(figures: dict[str, Any]) -> list[str]:
    """Return what is wrong with the figures."""
    missed = []
    for name, table in figures.items():
        if isinstance(table, dict):
            if table["rows"] != figures["rows"]:
                missed.append(f"{name}: {table['rows']} rows were read, and not {figures['rows']}")
            if table["growth_megabytes"] > MOST_GROWTH_MEGABYTES:
                missed.append(f"{name}: memory grew by {table['growth_megabytes']} MB")
    if figures["seconds_after_leaving"] > MOST_SECONDS_AFTER_LEAVING:
        missed.append(f"after clients had left, a table took {figures['seconds_after_leaving']} s")
    return missed


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(description="tables of a million rows")
    parser.add_argument("--quick", action="store_true", help="bars alone, 150,000 of them")
    plan = QUICK if parser.parse_args().quick else Plan()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(Path(folder), plan)
    missed = misses(figures)
    print(json.dumps({**figures, "missed": missed}, indent=1))
    return int(bool(missed))


if __name__ == "__main__":
    raise SystemExit(main())
