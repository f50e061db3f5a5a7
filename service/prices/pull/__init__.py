"""The pull job: fetches prices, checks them and merges them into the database."""
