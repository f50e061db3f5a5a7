"""Fitting of networks and baselines: spans, training loops and validation."""
