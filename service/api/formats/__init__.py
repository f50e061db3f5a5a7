"""Answers as tables: CSV, Parquet and Arrow, streamed."""
