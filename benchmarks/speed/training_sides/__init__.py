"""Programs that train the same network on the same windows, each with another library; see `training_rates`."""
