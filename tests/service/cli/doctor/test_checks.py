"""Checks of `tplus doctor` whose cases a machine does not show by itself."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from exchange_calendars import calendar_utils

from service.cli.doctor import machine_check, market_check
from service.cli.doctor.database_check import sqlite_finding
from service.cli.doctor.findings import Finding, Level, examine
from service.cli.doctor.market_check import check_calendars, check_source
from service.cli.doctor.settings_check import shown_settings
from service.settings import Settings
from tests.support.standin import Fault, Standin, StandinSymbol, reset_yfinance

NOW = datetime(2024, 3, 1, 22, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 40, 1), "warning"),
        ((3, 51, 2), "warning"),
        ((3, 51, 3), "ok"),
        ((3, 52, 0), "warning"),
        ((3, 53, 0), "ok"),
        ((4, 0, 0), "ok"),
    ],
)
def test_versions_of_sqlite_with_the_fault_in_its_log(version: tuple[int, ...], level: str) -> None:
    assert sqlite_finding(version).level == level


def test_a_check_that_fails_is_an_error_after_what_it_found() -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("x", "ok", "fine")  # type: ignore[arg-type]
        raise KeyError("postgresql://u:s3cret@h")

    found = list(examine("x", broken))
    assert [each.level for each in found] == ["ok", "error"]
    assert "KeyError" in found[1].message
    assert "s3cret" not in found[1].message


def test_a_full_disk_is_an_error_and_a_low_one_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=tmp_path / "not" / "there")
    (before,) = machine_check.check_disk(settings)
    monkeypatch.setattr(machine_check, "LOW_BYTES", 2**62)
    assert [each.level for each in machine_check.check_disk(settings)] == ["warning"]
    monkeypatch.setattr(machine_check, "FULL_BYTES", 2**62)
    assert [each.level for each in machine_check.check_disk(settings)] == ["error"]
    assert f"are free at {tmp_path}" in before.message


def test_calendars_are_known_assumed_or_unknown() -> None:
    (known,) = check_calendars(["XNYS"], date(2024, 3, 1))
    assert (known.level, known.message) == ("ok", "1 in use are known until 2026-12-31 (XNYS) or longer")
    (assumed,) = check_calendars(["weekdays"], date(2024, 3, 1))
    assert assumed.message == "without known holidays, their usual week is assumed: weekdays"
    (none,) = check_calendars([], date(2024, 3, 1))
    assert none.level == "warning"
    (unknown,) = check_calendars(["XXXX"], date(2024, 3, 1))
    assert unknown.level == "error"


def test_a_calendar_that_ends_soon_is_a_warning() -> None:
    last = calendar_utils._default_calendar_factories["XSHG"].bound_max().date()
    (ends,) = check_calendars(["XSHG"], last - timedelta(days=30))
    assert ends.level == "warning"
    assert "install a newer exchange_calendars" in ends.message


def test_a_source_that_does_not_answer_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    forever = threading.Event()

    def hang(*_: object) -> Finding:
        forever.wait(60)
        return Finding("source", Level.OK, "too late")

    monkeypatch.setattr(market_check, "SOURCE_SECONDS", 0.05)
    monkeypatch.setattr(market_check, "_probe", hang)
    (found,) = check_source(Settings(), ["SPY"], NOW)
    forever.set()
    assert found.level == "error"
    assert "sample has not answered within 0 s" in found.message


def test_no_secret_of_a_setting_is_shown(tmp_path: Path) -> None:
    settings = Settings(
        database_url="postgresql://tplus:s3cret@db/tplus",  # type: ignore[arg-type]
        yahoo_standin_url="http://u:s3cret@127.0.0.1:1",
        data_dir=tmp_path,
    )
    shown = shown_settings(settings)
    assert shown["TPLUS_DATABASE_URL"].value == "postgresql://tplus:***@db/tplus"
    assert set(shown) == {f"TPLUS_{name.upper()}" for name in Settings.model_fields}
    assert "s3cret" not in str(shown)


@pytest.mark.parametrize(
    ("fault", "level", "words"),
    [
        (None, "ok", "yahoo answers: it has prices of SPY"),
        (Fault.RATE_LIMIT, "warning", "yahoo limits the rate now"),
        (Fault.BAD_GATEWAY, "error", "yahoo does not answer"),
    ],
)
def test_a_live_source_is_probed_once(tmp_path: Path, fault: Fault | None, level: str, words: str) -> None:
    reset_yfinance()
    with Standin({"SPY": StandinSymbol(date(2024, 1, 2))}, NOW) as running:
        if fault is not None:
            running.fail("SPY", fault)
        settings = Settings(source="yahoo", clock="system", data_dir=tmp_path, yahoo_standin_url=running.url)
        (found,) = check_source(settings, ["SPY"], NOW)
    reset_yfinance()
    assert (found.level, words in found.message) == (level, True), found.message
