"""Training runs, model versions, and the promotion of versions."""
