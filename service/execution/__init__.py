"""Where heavy work runs: a warm worker for forecasts, a child of its own for training."""
