"""Hashes of documents: canonical, and literal so that nobody changes the form unnoticed."""

import pytest

from service.db.hash_chain import chain_hash, json_hash


def test_equal_documents_have_equal_hashes_in_any_key_order() -> None:
    one = {"job": "pull", "scope": {"a": 1, "b": None}}
    assert json_hash(one) == json_hash({"scope": {"b": None, "a": 1}, "job": "pull"})
    assert json_hash({"job": "pull"}) == "ea23b776ac33a35072c71e53cdd346d1f85c037a1897c4ffad088a610a72ccd6"


def test_the_order_of_rows_does_not_matter_and_their_content_does() -> None:
    header, rows = {"number": 1}, [{"a": 1}, {"a": 2}]
    assert chain_hash(header, {"rows": rows}) == chain_hash(header, {"rows": rows[::-1]})
    assert chain_hash(header, {"rows": rows}) != chain_hash(header, {"rows": rows[:1]})
    assert chain_hash(header, {"rows": rows}) != chain_hash({"number": 2}, {"rows": rows})


def test_a_figure_that_is_no_number_has_no_hash() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_hash({"a": float("nan")})
