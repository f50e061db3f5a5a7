"""GET /v1/ledger: the heads of both chains."""

from service.db.session import Database
from service.db.tables import editions, score_batches
from tests.support.api.client import TestClient


def test_the_heads_are_those_of_the_database(client: TestClient, filled: Database) -> None:
    with filled.reading() as connection:
        edition = connection.execute(editions.select().order_by(editions.c.number.desc()).limit(1)).one()
        batches = connection.execute(score_batches.select()).all()
    body = client.get("/v1/ledger").json()
    assert body["editions"]["number"] == edition.number == 3
    assert body["editions"]["hash"] == edition.hash
    assert body["editions"]["recorded_at"].endswith("Z")
    if not batches:
        assert body["score_batches"] == {"number": 0, "hash": "0" * 64, "recorded_at": None}


def test_a_parameter_is_refused(client: TestClient) -> None:
    answer = client.get("/v1/ledger", params={"head": "x"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "Unknown parameter: head; it takes none"
