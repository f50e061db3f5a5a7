"""Pure forecasting: features, windows, networks, training, inference, evaluation.

Nothing here knows a clock, a database, the network or a setting.
"""
