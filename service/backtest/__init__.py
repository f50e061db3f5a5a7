"""Backtests: prices of a source walked forward by every forecaster, in several processes, into one file."""
