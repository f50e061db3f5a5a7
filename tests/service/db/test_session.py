"""The database of a process: how its URL is shown."""

from service.db.session import Database, display_url


def test_no_password_is_in_the_shown_url() -> None:
    shown = {
        "postgresql://tplus:hidden@db/tplus": "postgresql://tplus:***@db/tplus",  # audit: planted
        "postgresql://u@db/t?sslmode=require&password=hidden": "postgresql://u@db/t?sslmode=require",
        "sqlite:////tmp/a.db": "sqlite:////tmp/a.db",
    }
    assert {url: display_url(Database(url)) for url in shown} == shown
