"""The connection string for PostgreSQL's programs: no secret on their command lines, wherever the URL has it."""

import stat
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from service.backup.postgres_tools import login
from service.errors import LedgerError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tplus:se%3Acr%5Cet@db:5433/tplus?sslmode=require",  # audit: planted
        "postgresql://tplus@db:5433/tplus?sslmode=require&password=se%3Acr%5Cet",
    ],
)
def test_a_password_is_in_a_file_of_its_own(url: str) -> None:
    with login(make_url(url)) as conninfo:
        found = conninfo_to_dict(conninfo)
        path = Path(str(found.pop("passfile")))
        assert path.read_text() == "*:*:*:*:se\\:cr\\\\et\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    assert found == {"host": "db", "port": "5433", "user": "tplus", "dbname": "tplus", "sslmode": "require"}


def test_without_a_password_the_environment_decides() -> None:
    with login(make_url("postgresql://tplus@db/tplus")) as conninfo:
        assert conninfo_to_dict(conninfo) == {"host": "db", "user": "tplus", "dbname": "tplus"}


def test_a_passphrase_is_refused() -> None:
    url = make_url("postgresql://tplus@db/tplus?sslpassword=hidden")
    with pytest.raises(LedgerError, match="has sslpassword") as caught, login(url):
        pass
    assert "hidden" not in str(caught.value)
