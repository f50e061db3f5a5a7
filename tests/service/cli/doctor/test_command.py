"""`tplus doctor`: one line per finding, exit status 1 only for errors, and no secret in any of them."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text, update

from service.db.session import Database
from service.db.tables import model_versions, runs, schedulers
from tests.support.api.ledger_factory import FRIDAY, at
from tests.support.command import Answer, CommandLine

PASSWORD = "p4ss-W0rd"


@pytest.fixture
def file(filled_file: Path, tmp_path: Path) -> Path:
    """A filled database in the folder of the command line."""
    return Path(shutil.copy(filled_file, tmp_path / "data.db"))


def doctor(folder: Path, *words: str, **settings: str) -> Answer:
    return CommandLine(folder, settings).run("doctor", *words)


def findings(answer: Answer, level: str) -> dict[str, str]:
    """Return the last message by check of one level."""
    found = [re.fullmatch(r"(ok|warning|error) +(\w+) +(\S.*)", line) for line in answer.out.splitlines()]
    assert all(found), answer.out + answer.error
    return {each[2]: each[3] for each in found if each is not None and each[1] == level}


def change(file: Path, statement: Any) -> None:
    database = Database(f"sqlite:///{file}")
    with database.transaction() as connection:
        connection.execute(statement)
    database.close()


def test_a_new_service_has_no_error(tmp_path: Path) -> None:
    answer = doctor(tmp_path)
    assert (answer.status, answer.error) == (0, "")
    assert findings(answer, "error") == {}
    assert "does not exist yet; `tplus up`" in findings(answer, "warning")["database"]
    assert findings(answer, "ok")["source"] == "sample has prices from 2000-03-01 to 2013-03-01"
    assert list(tmp_path.glob("*.db")) == []  # it creates none


def test_a_used_database_is_examined_in_every_respect(file: Path) -> None:
    url = f"sqlite:///{file}"
    row = {"id": "s", "name": "host:1", "heartbeat_at": datetime.now(UTC), "token": 1}
    change(file, insert(schedulers).values(**row))
    answer = doctor(file.parent, DATABASE_URL=url)
    found = findings(answer, "ok")
    assert set(found) == {
        "settings", "folder", "disk", "database", "identity", "clock", "scheduler", "runs", "calendars", "access",
        "alerts", "source",
    } | ({"server"} & set(found))  # fmt: skip
    assert set(findings(answer, "warning")) <= {"server", "artifacts"}
    assert "the API listens on 127.0.0.1 port 8000, 0 keys are valid; only this machine" in found["access"]
    assert answer.status == 0
    document = doctor(file.parent, "--json", "--without-source", DATABASE_URL=url).document
    assert document["errors"] == 0
    assert document["settings"]["TPLUS_PORT"] == {"value": "8000", "is_default": True}
    assert document["settings"]["TPLUS_DATABASE_URL"] == {"value": url, "is_default": False}
    assert {"check": "clock", "level": "ok", "message": "the database uses this machine's clock"} in document[
        "findings"
    ]
    assert "source" not in {finding["check"] for finding in document["findings"]}


def test_each_fault_is_an_error_of_its_own_and_none_hides_another(file: Path) -> None:
    old = {"id": "s", "name": "host:1", "heartbeat_at": datetime.now(UTC) - timedelta(hours=1), "token": 1}
    change(file, insert(schedulers).values(**old))
    change(
        file,
        insert(runs).values(
            id=90, job="forecast", scope="XNYS", scheduled_for=at(FRIDAY, 22), sequence=9, session=FRIDAY,
            state="failed", attempt=4, token=1, counts={}, error=f"postgresql://u:{PASSWORD}@h is down",
        ),
    )  # fmt: skip
    store = CommandLine(file.parent, {}).folder / "artifacts"
    answer = doctor(
        file.parent, DATABASE_URL=f"sqlite:///{file}", HOST="0.0.0.0", METRICS_PORT="9", METRICS_HOST="0.0.0.0",
        SYMBOL="AAPL", LEASE_SECONDS="30", CLOCK="replay:2001-01-02",
    )  # fmt: skip
    assert answer.status == 1
    errors = findings(answer, "error")
    assert errors["settings"] == "TPLUS_SYMBOL is not a setting; did you mean TPLUS_SYMBOLS?"
    assert re.match(r"the newest heartbeat is 36\d\d s old, older than the lease of 30 s", errors["scheduler"])
    assert "0 keys are valid; create one with `tplus keys create NAME`" in errors["access"]
    assert "START 2001-01-02T00:00:00Z is earlier" in errors["identity"]
    assert (
        "run 90 (forecast XNYS 2018-06-01) failed: postgresql://u:***@h is down" in findings(answer, "warning")["runs"]
    )
    assert PASSWORD not in answer.out + answer.error
    assert not store.exists()


def test_artifacts_are_compared_with_their_rows(file: Path) -> None:
    import hashlib

    url = f"sqlite:///{file}"
    store = file.parent / f"artifacts-{hashlib.sha256(url.encode()).hexdigest()[:10]}"
    for name in ("folder-1", "folder-2", "stray", ".writing-5"):
        (store / name).mkdir(parents=True)
    change(file, update(model_versions).values(status="retired"))
    change(file, update(model_versions).where(model_versions.c.id == 3).values(status="champion"))
    answer = doctor(file.parent, "--without-source", DATABASE_URL=url)
    assert f"the artifacts of the champions 3 are missing in {store}" in findings(answer, "error")["artifacts"]
    lines = [line for line in answer.out.splitlines() if line.startswith("warning  artifacts")]
    assert ["1 other model versions" in lines[0], "1 folders of" in lines[1], "(stray)" in lines[1]] == [True] * 3
    for name in ("folder-3", "folder-4"):
        (store / name).mkdir()
    (store / "stray").rmdir()
    again = findings(doctor(file.parent, "--without-source", DATABASE_URL=url), "ok")
    assert again["artifacts"] == f"each of 4 model versions has its folder in {store}"


def test_an_unreachable_database_is_one_error_and_the_rest_is_examined(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    settings = {"DATABASE_URL": "postgresql://tplus@127.0.0.1:1/x", "DATABASE_PASSWORD_FILE": str(secret)}
    answer = doctor(tmp_path, **settings)
    assert answer.status == 1
    assert list(findings(answer, "error")) == ["database"]
    assert "postgresql://tplus:***@127.0.0.1:1/x cannot be reached" in findings(answer, "error")["database"]
    assert {"disk", "folder", "source", "settings"} <= set(findings(answer, "ok"))
    shown = doctor(tmp_path, "--json", **settings)
    assert PASSWORD not in answer.out + answer.error + shown.out + shown.error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"PORT": "x"}, "TPLUS_PORT='x' cannot be used: must be a whole number"),
        ({"DATABASE_URL": "mysql://u:s3cret@h/d"}, "TPLUS_DATABASE_URL names a mysql database"),
    ],
)
def test_a_setting_that_cannot_be_used_is_an_error(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    answer = doctor(tmp_path, **settings)
    assert answer.status == 1
    assert message in "".join(findings(answer, "error").values())
    assert "s3cret" not in answer.out + answer.error


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    answer = doctor(tmp_path, "--without-source", DATA_DIR=str(file))
    assert "cannot be written (Not a directory)" in findings(answer, "error")["folder"]


def test_a_source_without_prices_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "prices").mkdir()
    answer = doctor(tmp_path, SOURCE=f"files:{tmp_path / 'prices'}")
    assert "has no prices" in findings(answer, "error")["source"]


def test_postgresql_is_examined_too(postgres_url: str, tmp_path: Path) -> None:
    database = Database(postgres_url)
    with database.reading() as connection:
        values = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in ("fsync", "full_page_writes")}
    database.close()
    answer = doctor(tmp_path, "--without-source", DATABASE_URL=postgres_url)
    found = findings(answer, "ok")
    assert re.match(r"PostgreSQL \d+", found["server"])
    assert re.match(r"this machine's clock differs by [+-]\d\.\d\d s", found["clock"])
    # The tests' server may be faster than safe.
    errors = [line for line in answer.out.splitlines() if line.startswith("error")]
    assert len(errors) == list(values.values()).count("off")
    assert all(f"{name} is off" in answer.out for name, value in values.items() if value == "off")
