"""Symbols over HTTP."""
