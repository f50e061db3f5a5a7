"""Plotly figures of a symbol over HTTP."""
