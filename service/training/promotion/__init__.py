"""Decisions on which model version serves."""
