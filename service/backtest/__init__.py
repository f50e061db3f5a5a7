"""Backtests: walk-forward forecasts of all forecasters on the prices of a source, in several processes, in one file."""
