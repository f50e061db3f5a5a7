"""Due instants and deadlines from the calendars and the settings."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from service.market.calendars import Calendars
from service.settings import Settings

NOW = datetime(2018, 6, 1, tzinfo=UTC)


@pytest.fixture
def calendars(tmp_path: Path) -> Calendars:
    """Return calendars with the default delays: 90 minutes, 60 on continuous calendars, 180 of grace."""
    return Calendars(Settings(data_dir=tmp_path), NOW)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "session", "final", "deadline"),
    [
        ("XNYS", date(2018, 5, 31), "2018-05-31 21:30", "2018-06-01 13:30"),
        ("XNYS", date(2018, 5, 25), "2018-05-25 21:30", "2018-05-29 13:30"),  # Memorial Day between
        ("XNYS", date(2018, 11, 23), "2018-11-23 19:30", "2018-11-26 14:30"),  # half day, then winter time
        ("XNYS", date(2018, 3, 9), "2018-03-09 22:30", "2018-03-12 13:30"),  # clocks change at the weekend
        ("XTKS", date(2018, 5, 31), "2018-05-31 07:30", "2018-06-01 00:00"),
        ("XLON", date(2018, 5, 31), "2018-05-31 17:00", "2018-06-01 07:00"),
        ("24/7", date(2018, 6, 2), "2018-06-03 01:00", "2018-06-03 04:00"),
        ("24/5", date(2018, 5, 31), "2018-06-01 01:00", "2018-06-01 04:00"),
        ("24/5", date(2018, 6, 1), "2018-06-02 01:00", "2018-06-04 04:00"),
    ],
)
def test_final_instant_and_deadline_of_each_market(
    calendars: Calendars, name: str, session: date, final: str, deadline: str
) -> None:
    assert calendars.final_at(name, session) == at(final)
    assert calendars.deadline(name, session) == at(deadline)


def test_targets_skip_weekends_and_holidays(calendars: Calendars) -> None:
    assert calendars.targets("XNYS", date(2018, 5, 24), 3) == (date(2018, 5, 25), date(2018, 5, 29), date(2018, 5, 30))
    assert calendars.targets("24/7", date(2018, 6, 1), 2) == (date(2018, 6, 2), date(2018, 6, 3))


def test_newest_final_changes_after_the_settle_delay(calendars: Calendars) -> None:
    assert calendars.newest_final("XNYS", at("2018-05-31 21:29")) == date(2018, 5, 30)
    assert calendars.newest_final("XNYS", at("2018-05-31 21:30")) == date(2018, 5, 31)


def test_delays_come_from_the_settings(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, settle_minutes=10, settle_minutes_continuous=5, grace_minutes=7)
    calendars = Calendars(settings, NOW)
    assert (calendars.settle("XNYS"), calendars.settle("24/7")) == (timedelta(minutes=10), timedelta(minutes=5))
    assert calendars.deadline("24/7", date(2018, 6, 2)) == at("2018-06-03 00:12")


def test_widen_extends_the_bounds_by_years(calendars: Calendars) -> None:
    assert calendars.get("XNYS").last == date(2021, 12, 31)
    calendars.widen(at("2035-03-01 00:00"))
    assert calendars.targets("XNYS", date(2035, 12, 28), 3)[-1] == date(2036, 1, 3)


def test_widen_never_narrows(calendars: Calendars) -> None:
    before = calendars.get("XNYS").last
    calendars.widen(at("2001-01-01 00:00"))
    assert calendars.get("XNYS").last == before


def test_a_closed_session_is_not_a_step_and_nothing_is_due_on_it(calendars: Calendars) -> None:
    wednesday, thursday = date(2018, 5, 30), date(2018, 5, 31)
    calendars.set_closed({"XNYS": frozenset({thursday})})
    assert calendars.is_closed("XNYS", thursday)
    assert not calendars.is_closed("XLON", thursday)
    assert calendars.targets("XNYS", wednesday, 2) == (date(2018, 6, 1), date(2018, 6, 4))
    assert calendars.deadline("XNYS", wednesday) == at("2018-06-01 13:30")
    assert calendars.newest_final("XNYS", at("2018-05-31 22:00")) == wednesday
    assert calendars.sessions("XNYS", wednesday, date(2018, 6, 1)) == [wednesday, date(2018, 6, 1)]
    calendars.set_closed({})
    assert calendars.targets("XNYS", wednesday, 1) == (thursday,)
