"""Runs heavy work in other processes: a warm worker for forecasts, a child process per training."""
