"""Folders the tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

PRICES = ROOT.parent / "shared" / "prices"
"""Recorded daily prices beside the checkout; tests that need them are skipped where they are absent."""
