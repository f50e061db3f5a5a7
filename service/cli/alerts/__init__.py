"""Command of alerts."""
