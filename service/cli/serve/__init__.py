"""Commands that start the service or run one of its jobs."""
