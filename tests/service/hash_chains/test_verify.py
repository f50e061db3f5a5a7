"""Both chains verified: rows, links, strays, and chains that only a recorded head shows to be cut or rewritten."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service.db.session import Database
from service.db.tables import score_batches
from service.hash_chains.links import Chain, Head, Heads, Link, read_heads, read_links
from service.hash_chains.verify import KnownHeads, Report, verify_database, verify_links
from tests.support.chain_factory import extend_chains, fill_chains, unguarded


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    """Three editions and three score batches."""
    fill_chains(database, tmp_path)
    return database


def heads_of(database: Database) -> Heads:
    with database.reading() as connection:
        return read_heads(connection)


def report_of(database: Database, *heads: Heads, hashes: tuple[str, ...] = ()) -> Report:
    known = KnownHeads(hashes=set(hashes))
    for each in heads:
        assert known.add(each) == []
    with database.reading() as connection:
        return verify_database(connection, known)


def test_links_rows_and_heads_are_counted(filled: Database) -> None:
    report = report_of(filled, heads_of(filled))
    assert (report.fault_count, report.faults) == (0, [])
    assert report.links == {Chain.EDITIONS: 3, Chain.SCORE_BATCHES: 3}
    assert report.rows == {Chain.EDITIONS: 3, Chain.SCORE_BATCHES: 3}
    assert report.heads == heads_of(filled)
    assert (report.heads.editions.number, report.heads.score_batches.number) == (3, 3)


def test_an_empty_ledger_has_heads_of_zeros(database: Database) -> None:
    assert heads_of(database) == Heads(Head(0, "0" * 64), Head(0, "0" * 64))
    assert report_of(database, Heads()).fault_count == 0


def test_earlier_heads_stay_valid_while_the_chains_grow(filled: Database) -> None:
    before = heads_of(filled)
    extend_chains(filled, 4, 6)
    assert report_of(filled, before, heads_of(filled)).fault_count == 0
    assert report_of(filled, hashes=(before.editions.hash, before.score_batches.hash)).fault_count == 0


def test_a_chain_that_was_cut_short_is_seen_by_a_recorded_head_alone(filled: Database) -> None:
    extend_chains(filled, 4, 8)
    recorded = heads_of(filled)
    with unguarded(filled) as execute:
        for table, column in (("scores", "batch"), ("score_batches", "number"), ("served_forecasts", "edition"),
                              ("forecasts", "edition"), ("editions", "number")):  # fmt: skip
            execute(f"DELETE FROM {table} WHERE {column} > 3")
    assert report_of(filled).fault_count == 0
    assert report_of(filled, recorded).faults == [
        "the editions end at 3, but a recorded head is edition 8: 5 were cut off",
        "the score batches end at 3, but a recorded head is score batch 8: 5 were cut off",
    ]
    gone = recorded.editions.hash
    assert report_of(filled, hashes=(gone,)).faults == [
        f"no edition and no score batch has the hash {gone}: the chain was cut short or rewritten"
    ]


def test_scores_rewritten_with_new_hashes_are_seen_by_a_recorded_head_alone(filled: Database) -> None:
    recorded = heads_of(filled)
    with unguarded(filled) as execute:
        execute("UPDATE scores SET pinball = 0.0001")
    _rewrite_hashes(filled)
    assert report_of(filled).fault_count == 0
    now = heads_of(filled).score_batches.hash
    assert report_of(filled, recorded).faults == [
        f"score batch 3 was rewritten: its hash is {now[:16]}, the recorded head has {recorded.score_batches.hash[:16]}"
    ]


def _rewrite_hashes(database: Database) -> None:
    """Give every score batch the hash of its altered rows, in a new chain."""
    with database.reading() as connection:
        links = [link for link in read_links(connection) if link.chain == Chain.SCORE_BATCHES]
    previous = "0" * 64
    with unguarded(database) as execute:
        for link in links:
            header = {**link.header, "previous_hash": previous}
            text = Link(link.chain, link.number, header, link.parts, "").computed_hash()
            execute(
                f"UPDATE score_batches SET hash = '{text}', previous_hash = '{previous}' WHERE number = {link.number}"
            )
            previous = text


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("INSERT INTO scores (id, batch, forecast_id, revision, state, scored_at, recorded_at) "
         "SELECT 99, 77, forecast_id, 9, 'void', scored_at, recorded_at FROM scores WHERE id = 1",
         "1 scores belong to no score batch: the first names score batch 77, which is missing"),
        ("UPDATE served_forecasts SET edition = 50 WHERE edition = 2",
         "1 served forecasts belong to no edition: the first names edition 50, which is missing"),
        ("UPDATE forecasts SET edition = 51 WHERE edition = 3",
         "1 forecasts belong to no edition: the first names edition 51, which is missing"),
    ],
)  # fmt: skip
def test_rows_of_no_link_are_reported(filled: Database, statement: str, fault: str) -> None:
    with unguarded(filled) as execute:
        execute(statement)
    assert fault in report_of(filled).faults


def test_a_score_moved_to_another_forecast_is_reported(filled: Database) -> None:
    with unguarded(filled) as execute:
        execute("UPDATE scores SET forecast_id = 1, revision = 5 WHERE id = 2")
    assert report_of(filled).faults == ["score batch 2 was altered: its scores do not give its hash"]


def test_two_recorded_heads_of_one_number_that_differ_are_a_fault() -> None:
    known = KnownHeads()
    assert known.add(Heads(Head(3, "a" * 64), Head())) == []
    assert known.add(Heads(Head(3, "b" * 64), Head())) == [
        f"two recorded heads of edition 3 differ ({'a' * 16} and {'b' * 16}): the chain was rewritten between them"
    ]


def test_many_faults_are_counted_and_the_first_are_kept() -> None:
    report = verify_links(_links(100, altered=True))
    assert (report.fault_count, len(report.faults)) == (100, 20)
    assert report.faults[0] == "edition 1 was altered: its rows do not give its hash"
    assert report.sentences()[-1] == "and 80 more faults"


def test_memory_does_not_grow_with_the_chain() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        verify_links(_links(count))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert peak(2_000) < 2 * peak(100)


def test_the_headers_are_read_in_pages(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.hash_chains.links._AT_ONCE", 2)
    with filled.reading() as connection:
        assert [(link.chain.value, link.number) for link in read_links(connection)] == [
            *(("edition", number) for number in (1, 2, 3)),
            *(("score batch", number) for number in (1, 2, 3)),
        ]
        assert len(connection.execute(select(score_batches)).all()) == 3


def _links(count: int, *, altered: bool = False) -> Iterator[Link]:
    previous = "0" * 64
    for number in range(1, count + 1):
        header = {"number": number, "previous_hash": previous}
        parts = {"forecasts": [{"symbol": "AAA", "q50": 0.1, "edition": number}] * 20, "items": []}
        text = Link(Chain.EDITIONS, number, header, parts, "").computed_hash()
        changed = {"forecasts": [], "items": []} if altered else parts
        yield Link(Chain.EDITIONS, number, header, changed, text)
        previous = text
