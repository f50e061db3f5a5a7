"""Timeouts of a connection to a PostgreSQL server that stopped answering."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from service.db.engine import make_engine
from tests.support.postgres import PostgresServer


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of an empty database."""
    with postgres_server.lent() as found:
        yield found


def test_a_connection_has_timeouts(url: str) -> None:
    engine = make_engine(url)
    with engine.connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    assert (parameters["connect_timeout"], parameters["keepalives_idle"], parameters["tcp_user_timeout"]) == (
        "10",
        "15",
        "30000",
    )


def test_options_of_the_url_have_precedence(url: str) -> None:
    engine = make_engine(f"{url}{'&' if '?' in url else '?'}connect_timeout=3")
    with engine.connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()
    assert parameters["connect_timeout"] == "3"
