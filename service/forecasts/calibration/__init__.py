"""Calibration states: reading and learning from scores."""
