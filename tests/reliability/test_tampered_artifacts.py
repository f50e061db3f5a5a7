"""Tampered artifacts; the full form is `benchmarks.reliability.tampered_artifacts`."""

import json
from pathlib import Path

from benchmarks.reliability.tampered_artifacts import Tally, counting, document, misses, try_tampering
from models.forecasting import artifact


def test_each_is_refused_before_it_is_parsed_and_the_champion_before_it_serves(
    tmp_path: Path, migrated_file: Path
) -> None:
    tally = try_tampering(tmp_path, migrated_file, every=997, forecast_every=8)
    assert misses(tally) == [], json.dumps(document(tally), indent=1)
    assert tally.forecasts >= 5
    assert sum(tally.refused.values()) >= 60


def test_what_is_parsed_is_counted() -> None:
    with counting() as entered:
        artifact.json.loads("{}")
    artifact.json.loads("{}")
    assert entered == ["json"]


def test_what_was_accepted_parsed_or_not_served_is_a_miss() -> None:
    assert misses(Tally(accepted=["a"], parsed_first=["b"], not_served=["c"])) == [
        "1 tampered artifacts are accepted",
        "1 are parsed before they are refused",
        "1 forecast runs are not served by the champion before",
    ]
