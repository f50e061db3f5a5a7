"""The page at `/`: a reader of the public REST API, in the browser, and of nothing else."""
