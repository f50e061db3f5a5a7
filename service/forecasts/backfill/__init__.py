"""Backfill of missing forecasts by versions whose data end before the sessions."""
