"""Scoring rules and significance tests."""
