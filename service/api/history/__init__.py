"""Past forecasts and their outcomes over HTTP."""
