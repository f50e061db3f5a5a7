"""Folders that tests read."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""Root of the repository."""

PRICES = ROOT.parent / "shared" / "prices"
"""Recorded daily prices next to the checkout; tests that need them are skipped if they are absent."""
