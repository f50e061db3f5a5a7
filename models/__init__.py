"""Forecasting code without side effects: features, windows, networks, training, inference, evaluation.

Nothing here uses a clock, a database, network access or a setting.
"""
