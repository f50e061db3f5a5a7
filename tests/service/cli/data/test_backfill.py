"""`tplus backfill` in its own processes, over the bundled prices of two companies."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.db.session import Database
from service.db.tables import editions, forecasts, model_versions
from tests.support.command import CommandLine, kill_group, wait_for

RANGE = ("backfill", "XNYS", "--from", "2012-09-01", "--to", "2012-12-19")
"""74 sessions: those of 2012 from September (19, 21, 21) and 13 in December."""
SESSIONS = 74


@pytest.fixture
def line(tmp_path: Path, database_url: str) -> CommandLine:
    """Prices are pulled up to 20 December 2012; there is no forecast."""
    settings = {
        "LEASE_SECONDS": "3",
        "CLOCK": "replay:2012-12-20T23:00:00Z",
        "SYMBOLS": "AAPL,IBM",
        "DATABASE_URL": database_url,
    }
    made = CommandLine(tmp_path, settings)
    pulled = made.run("pull")
    assert pulled.status == 0, pulled.error
    return made


def test_a_killed_backfill_resumes(line: CommandLine, database: Database) -> None:
    def written() -> int:
        with database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(editions)).scalar_one())

    process = line.start(*RANGE, log=line.folder / "killed.log")
    wait_for(lambda: written() >= 5)
    kill_group(process)  # SIGKILL
    before = written()
    assert 5 <= before < SESSIONS
    again = line.run(*RANGE, "--json")  # it waits for the dead process's lease, and continues the same run
    assert again.status == 0, again.error
    document = again.document
    assert (document["sessions"], document["already_stored"], document["published"]) == (SESSIONS, 0, 2 * SESSIONS)
    assert [edition["number"] for edition in document["editions"]] == list(range(1, SESSIONS + 1))
    with database.reading() as connection:
        days = connection.execute(select(editions.c.as_of).order_by(editions.c.number)).scalars().all()
        counts = connection.execute(select(func.count()).select_from(forecasts)).scalar_one()
        versions = connection.execute(select(func.count()).select_from(model_versions)).scalar_one()
    assert (len(days), list(days), counts, versions) == (SESSIONS, sorted(set(days)), SESSIONS * 2 * 4, 2)
    assert line.run("db", "check").out == "all editions and score batches match their hashes, none is missing\n"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_output_and_errors(line: CommandLine) -> None:
    words = ("backfill", "NYSE", "--from", "2012-12-01", "--to", "2012-12-31", "--symbols", "IBM")
    first = line.run(*words)
    assert first.out == (
        "XNYS, as of 2012-12-03 to 2012-12-19: 13 forecasts of symbols published in 13 editions of mode backfill\n"
        "0 already stored, 0 without a bar\n"
    )
    again = line.run(*words, "--json").document
    assert again == {
        "calendar": "XNYS", "first": "2012-12-03", "last": "2012-12-19", "sessions": 13, "editions": [],
        "published": 0, "already_stored": 13, "without_bar": 0, "refused": [],
    }  # fmt: skip
    wrong = line.run("backfill", "XNYS", "--from", "2012-13-01", "--to", "2012-12-31")
    assert (wrong.status, wrong.sentence) == (
        2,
        "Invalid value for '--from': '2012-13-01' is not a date; write it as 2015-01-02; see tplus backfill --help",
    )
    unknown = line.run("backfill", "MARS", "--from", "2012-12-01", "--to", "2012-12-31")
    assert unknown.status == 1
    assert unknown.sentence.startswith("there is no calendar named 'MARS'; use an exchange's code such as ")
