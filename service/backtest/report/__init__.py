"""The report on a backtest's file, for the terminal and as an HTML page."""
