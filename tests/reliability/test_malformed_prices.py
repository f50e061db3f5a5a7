"""Some malformed price payloads; the full form is `benchmarks.reliability.malformed_prices`."""

import json
from datetime import date
from pathlib import Path

import pytest

from benchmarks.reliability.malformed.payloads import NAMED, Payload, payload
from benchmarks.reliability.malformed_prices import document, misses, try_payloads
from tests.support.standin import Standin, StandinSymbol, instant


def test_no_bad_row_is_published_and_the_rest_of_the_watchlist_is_served(
    tmp_path: Path, migrated_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    tally = try_payloads([payload(seed) for seed in range(0, len(NAMED), 4)], tmp_path, migrated_file)
    assert misses(tally) == [], json.dumps(document(tally), indent=1)
    assert tally.payloads == (len(NAMED) + 3) // 4


def test_a_plausible_wrong_price_is_found_by_the_check(tmp_path: Path, migrated_file: Path) -> None:
    """A damage that no check can see: the trial itself must find it."""

    def make(chart: dict[str, object]) -> bytes:
        quote = chart["indicators"]["quote"][0]  # type: ignore[index]
        quote["close"][-1] *= 1.001
        return json.dumps({"chart": {"result": [chart], "error": None}}).encode()

    tally = try_payloads([Payload("one tenth of a percent", make)], tmp_path, migrated_file)
    assert misses(tally) == ["1 bad rows are published"]


def test_each_payload_differs_from_the_correct_answer_and_repeats() -> None:
    with Standin({"MADE": StandinSymbol(date(2018, 6, 1))}, instant(date(2018, 11, 15))) as standin:
        chart = standin.chart("MADE", {"period1": ["0"], "period2": ["9999999999"]})
    correct = json.dumps({"chart": {"result": [chart], "error": None}}).encode()
    for seed in range(len(NAMED)):
        made = payload(seed)
        assert made.make(chart) == made.make(chart)
        assert made.make(chart) != correct, made.name
