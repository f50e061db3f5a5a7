"""Runs heavy work in other processes.

Forecasts run in a warm worker, each training in a child process of its own.
"""
