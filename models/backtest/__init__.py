"""Forecasters walked forward through recorded history, by the code that serves them."""
