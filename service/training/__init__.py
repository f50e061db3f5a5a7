"""Training runs, model versions, and who may serve."""
