"""Answers kept as bytes: encoded once per state of the database, and sent before the routes are asked."""
