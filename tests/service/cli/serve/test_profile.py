"""`tplus profile`: the runs of the newest session, one run, and a night that it runs itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from service.cli.serve import profile as command
from service.db.session import Database
from service.db.tables import runs
from service.errors import NotFound, TplusError
from service.runtime.context import ServiceContext
from service.scheduler.leader import acquire_lead
from tests.support.recorded import RecordedWalks, Walk
from tests.support.service_factory import Service, ServiceOptions, make_service


@pytest.fixture
def service(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    """Friday's runs are due, and the command opens this service."""
    source = RecordedWalks([Walk("AAA", date(2023, 9, 1), date(2024, 3, 6), seed=1)])
    made = make_service(database, tmp_path, source, ServiceOptions("2024-03-01T22:30:00Z", ("AAA",)))

    @contextmanager
    def opened(*, quiet: bool = False) -> Iterator[ServiceContext]:
        yield made.context

    monkeypatch.setattr(command, "service", opened)
    return made


def printed(capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    command.profile(**{"run": None, "night": False, "as_json": False, **options})
    return capsys.readouterr().out


def test_a_night_is_run_and_its_phases_are_shown(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, night=True)
    heads = [line.rpartition(",")[0] for line in text.splitlines() if line.startswith("run ")]
    assert heads == [
        "run 1: pull XNYS 2024-03-01, done", "run 2: score XNYS 2024-03-01, done",
        "run 3: forecast XNYS 2024-03-01, done", "run 4: train equity 2024-03-01, done",
    ]  # fmt: skip
    names = {line[2:30].strip() for line in text.splitlines() if line.startswith("  ")}
    assert {"plan", "fetch", "check", "store", "read forecasts", "calibration", "publish", "other"} <= names
    assert text.splitlines()[-1].startswith("all: ")
    assert printed(capsys) == text  # the newest session, and nothing was measured since


def test_a_run_that_was_due_before_the_night_is_shown(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, night=True)
    with service.database.transaction() as connection:
        connection.execute(update(runs).where(runs.c.id == 2).values(state="due", finished_at=None))
    assert printed(capsys, night=True).startswith("run 2: score XNYS 2024-03-01, done, ")


def test_one_run_is_shown(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, night=True)
    text = printed(capsys, run=3)
    assert text.startswith("run 3: forecast XNYS 2024-03-01, done, ")
    assert "fetch" not in text


def test_the_longest_phase_is_first_with_its_share(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, night=True)
    phases = [
        {"name": "store", "seconds": 1.0, "cpu_seconds": 0.5, "peak_bytes": 0, "rows": 0},
        {"name": "fetch", "seconds": 3.0, "cpu_seconds": 1.25, "peak_bytes": 260_000_000, "rows": 12_000},
    ]
    with service.database.transaction() as connection:
        connection.execute(update(runs).where(runs.c.id == 1).values(phases=phases))
    assert printed(capsys, run=1).splitlines() == [
        "run 1: pull XNYS 2024-03-01, done, 4.00 s",
        "  phase                          seconds  share     CPU s  peak MB         rows",
        "  fetch                             3.00    75%      1.25      260       12,000",
        "  store                             1.00    25%      0.50        -            -",
    ]


def test_what_cannot_be_shown_is_said(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match="no run has been measured yet; `tplus profile --night` runs what is due"):
        printed(capsys)
    with pytest.raises(NotFound, match="run 9 does not exist"):
        printed(capsys, run=9)
    printed(capsys, night=True)
    with pytest.raises(NotFound, match="nothing is due now"):
        printed(capsys, night=True)
    with service.database.transaction() as connection:
        connection.execute(update(runs).where(runs.c.id == 2).values(phases=None))
    with pytest.raises(NotFound, match="run 2 was not measured: it is done"):
        printed(capsys, run=2)


def test_an_active_scheduler_measures_itself(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    with service.database.transaction() as connection:
        acquire_lead(connection, "other", "host:1", service.machine, service.context.lease)
    with pytest.raises(TplusError, match=r"the active scheduler \(host:1\) does what is due and measures it"):
        printed(capsys, night=True)
