"""The printed path of one forecast run."""

import re
import subprocess
import sys

from tests.support.paths import ROOT

LIMIT = 20
"""Largest number of stops of a forecast run."""


def test_a_forecast_run_takes_twenty_stops_at_most() -> None:
    command = [sys.executable, "-m", "tools.call_path", "forecast"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    *stops, commit, total = printed.splitlines()
    numbered = [re.fullmatch(r" *(\d+) ( *)([\w.]+)", line) for line in stops]
    found = [(int(match[1]), len(match[2]) // 2, match[3]) for match in numbered if match is not None]
    assert len(found) == len(stops)
    assert [place for place, _, _ in found] == list(range(1, len(stops) + 1))
    assert found[0] == (1, 0, "service.runs.claim")
    assert commit.strip() == "edition 1 committed"
    assert total == f"{len(stops)} stops"
    assert len(stops) <= LIMIT, printed
    names = [name for _, _, name in found]
    # Real work was traced: the walk was fitted at first use, and the edition was published by the forecast job.
    assert "service.training.registry.versions.add_random_walk" in names
    assert [depth for _, depth, name in found if name == "service.forecasts.ledger.publish"] == [2]
    assert not [name for name in names if name.startswith("service.training.promotion.")]
