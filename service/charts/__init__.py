"""Plotly figures as plain dictionaries, built from API answers; no database, no web framework, no Plotly."""
