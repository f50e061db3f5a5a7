"""Backfill of missing forecasts by versions that have not seen them."""
