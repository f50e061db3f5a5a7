"""Files whose dates do not fit the default calendar: what is forecast, what the API says, what is reported."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from service.app import create_app
from service.db.session import Database
from service.market.exchange_calendar import get_calendar
from service.prices.sources.files import FilesSource
from service.settings import Settings
from tests.support.api.client import TestClient
from tests.support.service_factory import ServiceOptions, make_service

FIRST, LAST = date(2023, 1, 4), date(2024, 3, 28)
DAYS = np.arange(np.datetime64(FIRST), np.datetime64(LAST) + 1)
SUNDAY_TO_THURSDAY = DAYS[~np.isin((DAYS.astype(np.int64) + 3) % 7, (4, 5))]
ROWS = {
    "BITCOIN": DAYS,
    "BTC-USDT": DAYS,
    "COMI.CA": SUNDAY_TO_THURSDAY,
    "6758.T": get_calendar("XTKS", FIRST, LAST).table(FIRST, LAST).sessions - 1,
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_files_are_forecast_for_the_next_session_of_their_rows(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "prices"
    folder.mkdir()
    for seed, (symbol, days) in enumerate(ROWS.items()):
        closes = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, len(days))))
        lines = [f"{day},{close},{close},1000" for day, close in zip(days, closes, strict=True)]
        (folder / f"{symbol}.csv").write_text("\n".join(["date,close,adj_close,volume", *lines]) + "\n")
    options = ServiceOptions("2024-03-21T23:30:00Z", tuple(ROWS))
    service = make_service(database, tmp_path, FilesSource(folder), options)
    scheduler = service.scheduler()
    service.replay(scheduler, datetime(2024, 3, 23, 2, tzinfo=UTC))
    scheduler.close()
    answers = {}
    with TestClient(create_app(Settings(), database)) as client:
        for symbol in ROWS:
            answer = client.get(f"/v1/forecasts/{symbol}").json()
            first = answer["multi_step"]["steps"][0]["target_session"]
            answers[symbol] = (answer["calendar"], answer["approximate"], answer["as_of"], first)
    assert answers == {
        "BITCOIN": ("24/7", True, "2024-03-22", "2024-03-23"),
        "BTC-USDT": ("24/7", False, "2024-03-22", "2024-03-23"),
        "COMI.CA": ("XCAI", True, "2024-03-21", "2024-03-24"),
        "6758.T": ("XTKS", True, "2024-03-22", "2024-03-25"),
    }
    said = [notice for notice in service.reporter.notices if "on no session" in notice]
    assert sorted(notice.split(": ")[1][:30] for notice in said) == [
        "its dates fit 24/7, which is u", "local midnights were written a",
    ]  # fmt: skip
