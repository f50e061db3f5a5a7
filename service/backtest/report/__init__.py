"""What a backtest's file says, on a terminal and as a page."""
