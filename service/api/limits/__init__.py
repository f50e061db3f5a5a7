"""Limits of the application: hosts, rates, requests at a time, and the work of clients that left."""
