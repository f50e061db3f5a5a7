"""Checks of fetched rows: quality, outliers, and agreement with the stored bars."""
