"""Answers kept as bytes: encoded once per state of the database, and sent without a call of the routes."""
