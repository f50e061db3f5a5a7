"""Alerts: subscriptions, detected events, an outbox written with what is published, and its delivery."""
