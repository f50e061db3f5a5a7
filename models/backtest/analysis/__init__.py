"""Analysis of backtest forecasts: scores, leaderboard, significance, ablations."""
