"""Commands for model versions, backtests and reports."""
