"""Walk-forward backtests of forecasters on recorded history, with the code that serves them."""
