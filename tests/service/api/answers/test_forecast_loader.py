"""Readings of several forecasts: one that cannot be built or read does not take the others down."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from service.api.answers.forecast_loader import ForecastLoader, Loaded
from service.api.common.dependencies import Reader
from service.db.change_counters import raise_changes
from service.db.session import Database
from service.db.tables import forecasts, model_versions
from service.settings import Settings
from service.vocabulary import ModelStatus


@pytest.fixture
def reader(filled_file: Path, tmp_path: Path) -> Iterator[Reader]:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.db')}")
    yield Reader(Settings(), database)
    database.close()


def load(reader: Reader, *symbols: str) -> list[Loaded]:
    """Return what requests for symbols get that arrive together."""

    async def load_all() -> list[Loaded]:
        loader = ForecastLoader(reader)
        return await asyncio.gather(*(loader.load(symbol) for symbol in symbols))

    return asyncio.run(load_all())


def test_requests_that_arrive_together_share_a_reading(reader: Reader) -> None:
    first, *others = load(reader, "AAPL", "ibm", "ZZZZ", "AAPL")
    assert all(loaded is first for loaded in others)
    assert sorted(first.documents) == ["AAPL", "ibm"]


def test_a_forecast_that_cannot_be_built_leaves_the_others(reader: Reader) -> None:
    with reader.database.transaction() as connection:
        query = select(forecasts).where(forecasts.c.symbol == "IBM", forecasts.c.step == 3)
        row = dict(connection.execute(query).mappings().first() or {})
        del row["id"]
        connection.execute(insert(forecasts).values({**row, "step": 4}))  # an answer has three
    assert sorted(load(reader, "AAPL", "IBM")[0].documents) == ["AAPL"]


def test_a_version_whose_status_changes_is_read_again(reader: Reader) -> None:
    async def statuses() -> list[str]:
        loader, found = ForecastLoader(reader), []
        for status in (ModelStatus.REJECTED, ModelStatus.RETIRED):
            with reader.database.transaction() as connection:
                connection.execute(update(model_versions).values(status=status))
                raise_changes(connection, ())
            loaded = await loader.load("AAPL")
            found.append(json.loads(loaded.documents["AAPL"].parts[0][0])["multi_step"]["served_by"]["status"])
        return found

    assert asyncio.run(statuses()) == ["rejected", "retired"]
