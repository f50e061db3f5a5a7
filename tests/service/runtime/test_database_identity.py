"""Identity of a database: its source, clock and start; others are refused."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import market_clock, stamp
from service.errors import SettingsError, StampMismatch
from service.prices.sources.base import Record
from service.runtime.database_identity import check_stamp, ensure_stamp
from service.settings import ClockSetting

MACHINE = datetime(2030, 1, 1, 12, tzinfo=UTC)
RECORD = Record(date(2010, 1, 4), date(2013, 3, 1))


def make(database: Database, clock: str, source: str = "sample", record: Record | None = RECORD) -> None:
    with database.transaction() as connection:
        ensure_stamp(connection, source, ClockSetting.parse(clock), MACHINE, record)


def start_of(database: Database) -> tuple[datetime, date | None]:
    with database.reading() as connection:
        row = connection.execute(select(market_clock.c.now, market_clock.c.record_end)).one()
        return row.now, row.record_end


def is_stamped(database: Database) -> bool:
    with database.reading() as connection:
        return connection.execute(select(stamp)).one_or_none() is not None


def test_a_replay_starts_at_its_start(database: Database) -> None:
    make(database, "replay:2012-06-01T22:00:00Z")
    assert start_of(database) == (datetime(2012, 6, 1, 22, tzinfo=UTC), date(2013, 3, 1))


def test_a_start_without_a_time_is_midnight(database: Database) -> None:
    make(database, "replay:2012-06-01:0")
    assert start_of(database)[0] == datetime(2012, 6, 1, tzinfo=UTC)


def test_without_a_start_a_replay_begins_286_days_before_the_record_ends(database: Database) -> None:
    make(database, "replay")
    assert start_of(database)[0] == datetime(2012, 5, 19, tzinfo=UTC)


def test_a_short_record_is_replayed_from_its_first_day(database: Database) -> None:
    make(database, "replay", record=Record(date(2013, 2, 1), date(2013, 3, 1)))
    assert start_of(database)[0] == datetime(2013, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize("start", ["2010-01-03", "2013-03-03", "1999-01-01"])
def test_a_start_outside_the_record_is_refused_and_nothing_written(database: Database, start: str) -> None:
    with pytest.raises(SettingsError, match=f"{start}, outside the record of 2010-01-04 to 2013-03-01"):
        make(database, f"replay:{start}")
    assert not is_stamped(database)


@pytest.mark.parametrize("start", ["2010-01-04", "2013-03-02"])
def test_the_first_day_and_the_day_after_the_record_are_allowed(database: Database, start: str) -> None:
    make(database, f"replay:{start}")
    assert is_stamped(database)


def test_a_source_without_a_record_cannot_replay(database: Database) -> None:
    with pytest.raises(SettingsError, match="TPLUS_CLOCK=system"):
        make(database, "replay", source="yahoo", record=None)


def test_a_live_database_stores_no_market_time(database: Database) -> None:
    make(database, "system", source="yahoo", record=None)
    with database.reading() as connection:
        assert connection.execute(select(market_clock)).one_or_none() is None
        assert connection.execute(select(stamp.c.start_at)).scalar_one() == MACHINE


@pytest.mark.parametrize(("source", "clock"), [("files:/other", "replay"), ("sample", "system")])
def test_another_source_or_clock_is_refused(database: Database, source: str, clock: str) -> None:
    make(database, "replay")
    with pytest.raises(StampMismatch, match=r"made for source sample with the replay clock.*TPLUS_DATABASE_URL"):
        make(database, clock, source)


def test_an_earlier_start_is_refused_and_a_later_one_ignored(database: Database) -> None:
    make(database, "replay:2012-06-01")
    with pytest.raises(StampMismatch, match="START 2012-05-31T23:59:59Z is earlier"):
        make(database, "replay:2012-05-31T23:59:59Z")
    make(database, "replay:2012-07-01")
    make(database, "replay")
    assert start_of(database)[0] == datetime(2012, 6, 1, tzinfo=UTC)


def test_an_unstamped_database_passes_the_check(database: Database) -> None:
    with database.reading() as connection:
        check_stamp(connection, "anything", ClockSetting("system"))


def test_a_record_that_has_grown_is_followed_when_the_database_is_opened(database: Database) -> None:
    make(database, "replay:2012-06-01")
    make(database, "replay:2012-06-01", record=Record(date(2010, 1, 4), date(2013, 3, 8)))
    assert start_of(database) == (datetime(2012, 6, 1, tzinfo=UTC), date(2013, 3, 8))


@pytest.mark.parametrize("record", [Record(date(2010, 1, 4), date(2013, 2, 1)), None])
def test_a_record_that_became_shorter_keeps_its_end(database: Database, record: Record | None) -> None:
    make(database, "replay:2012-06-01")
    make(database, "replay:2012-06-01", record=record)
    assert start_of(database)[1] == date(2013, 3, 1)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "TPLUS_SOURCE files:/x has no readable price file; add CSV or Parquet files"),
        (
            2,
            " files:/x has no readable price file: fault 0; fault 1; `tplus files check /x` lists all files",
        ),
        (23, "fault 18; fault 19; and 3 more; `tplus files check /x` lists all files"),
    ],
)
def test_a_folder_in_which_nothing_can_be_read_gives_the_reason_of_each_file(
    database: Database, count: int, words: str
) -> None:
    faults = [f"fault {k}" for k in range(count)]
    with pytest.raises(SettingsError) as caught, database.transaction() as connection:
        ensure_stamp(connection, "files:/x", ClockSetting.parse("replay"), MACHINE, None, faults)
    assert str(caught.value).endswith(words)
    assert not is_stamped(database)
