"""Every route refuses every bad credential, bad texts have no effect; `benchmarks.reliability.access` is the whole."""

from pathlib import Path

import pytest

from benchmarks.reliability.access import filled, make_credentials, rows, trial
from benchmarks.reliability.access_requests import bad_credentials, operations, text_requests
from service.app import create_app
from service.settings import Settings

TEXTS = ("'; DROP TABLE api_keys; --\x00",)
KINDS = {
    "no key", "wrong", "expired", "revoked", "wrong scope", "wrong cookie", "expired cookie", "ended cookie",
    "revoked cookie", "wrong scope of a cookie", "foreign Origin", "no Origin", "cross-site", "cookie as key",
}  # fmt: skip


def test_every_route_refuses_every_bad_credential_and_no_text_has_an_effect(database_url: str, tmp_path: Path) -> None:
    database = filled(database_url)
    # Texts on PostgreSQL, which refuses more of them, and open reads on SQLite: the whole trial does both on both.
    figures = trial(database, tmp_path, () if database.is_sqlite else TEXTS, (database.is_sqlite,))
    is_sqlite = database.is_sqlite
    database.close()
    assert figures.wrong == []
    assert figures.changed == []
    assert set(figures.refused) >= KINDS
    assert is_sqlite or figures.texts > 150


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_trial_sees_a_route_that_is_open_and_a_row_that_is_written(database_url: str, tmp_path: Path) -> None:
    document = create_app(Settings(data_dir=tmp_path)).openapi()
    found = operations(document)
    assert len(found) >= 20
    unguarded = next(each for each in found if each.name == "GET /v1/status")
    database = filled(database_url)
    attempts = list(bad_credentials(unguarded, make_credentials(database), open_reads=False))
    assert {attempt.status for attempt in attempts} == {401, 403}
    places = {
        request.place
        for request in text_requests(next(each for each in found if each.name == "POST /v1/session"), ("x",))
    }
    assert {"body key", "header Origin", "unknown query"} <= places
    before = rows(database)
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE runs SET error = 'planted' WHERE id = 1")
    after = rows(database)
    assert {name for name in before if before[name] != after[name]} == {"runs"}
    database.close()
