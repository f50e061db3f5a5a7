"""How long a PostgreSQL server that vanished may keep a caller waiting."""

from sqlalchemy import text

from service.db.engine import make_engine
from tests.postgres import PostgresServer


def test_a_connection_knows_when_to_give_a_silent_server_up(postgres_server: PostgresServer) -> None:
    name = postgres_server.create()
    engine = make_engine(postgres_server.url(name))
    with engine.connect() as connection:
        told = connection.connection.driver_connection.info.get_parameters()
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()
    postgres_server.drop(name)
    assert (told["connect_timeout"], told["keepalives_idle"], told["tcp_user_timeout"]) == ("10", "15", "30000")


def test_what_the_url_says_goes_first(postgres_server: PostgresServer) -> None:
    name = postgres_server.create()
    url = postgres_server.url(name)
    engine = make_engine(f"{url}{'&' if '?' in url else '?'}connect_timeout=3")
    with engine.connect() as connection:
        told = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()
    postgres_server.drop(name)
    assert told["connect_timeout"] == "3"
