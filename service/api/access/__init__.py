"""Checks the key or the page session of each request."""
