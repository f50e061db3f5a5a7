"""The pull job: fetch prices, check them, merge them into the database."""
