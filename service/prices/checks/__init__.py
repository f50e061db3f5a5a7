"""Checks of fetched rows: quality, outliers and overlap."""
