"""Plotly figures as plain dictionaries, out of what the API answers; no database, no web framework, no Plotly."""
