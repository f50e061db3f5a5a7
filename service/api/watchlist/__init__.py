"""The watchlist over HTTP."""
